// See queue.h.
#include "queue.h"

#include <chrono>
#include <utility>

#include "errors.h"

Queue::Queue() : thread_([this] { loop(); }) {}

Queue::~Queue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    commands_.clear();
  }
  ready_.notify_one();
  thread_.join();
}

void Queue::push(Command command) {
  {
    std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  ready_.notify_one();
}

void Queue::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return commands_.empty() && !busy_; });
}

std::exception_ptr Queue::take_error() { return std::exchange(error_, nullptr); }

void Queue::set_profiling(bool on) {
  std::lock_guard lock(mutex_);
  profiling_ = on;
  if (on) timings_.clear();
}

std::map<std::string, Timing> Queue::timings() {
  std::lock_guard lock(mutex_);
  return timings_;
}

void Queue::run(const Command& command) {
  const bool timed = command.timed && profiling_;
  const auto start = std::chrono::steady_clock::now();
  try {
    command.run();
    if (timed) wait_();
  } catch (const Error& error) {
    throw Error(error.code(), std::string(command.name) + ": " + error.what());
  } catch (const std::bad_alloc&) {
    throw OutOfMemoryError(std::string("out of memory in ") + command.name +
                           ". Use a smaller batch size");
  } catch (const std::exception& error) {
    throw InternalError(std::string(command.name) + ": " + error.what() +
                        ". This is a bug in captioneer: please report it");
  }
  if (!timed) return;
  const auto spent = std::chrono::steady_clock::now() - start;
  std::lock_guard lock(mutex_);
  Timing& timing = timings_[command.name];
  timing.count++;
  timing.nanoseconds += std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count();
}

void Queue::loop() {
  while (true) {
    Command command;
    {
      std::unique_lock lock(mutex_);
      busy_ = false;
      if (commands_.empty()) idle_.notify_all();
      ready_.wait(lock, [this] { return stopping_ || !commands_.empty(); });
      if (stopping_) return;
      command = std::move(commands_.front());
      commands_.pop_front();
      busy_ = true;
    }
    if (error_ && !command.always) continue;
    try {
      run(command);
    } catch (const Error&) {
      error_ = std::current_exception();
    }
  }
}
