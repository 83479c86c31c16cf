// The one native thread that runs a device's work in the order in which JavaScript asked for it.
// It keeps the first error until somebody waits, counts and times commands when asked, and knows no
// kernels.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

struct Command {
  const char* name;
  std::function<void()> run;
  bool always = false;  // runs even after an error: replies to JavaScript
  bool timed = true;    // false: its parts are counted, or it is no work
};

struct Timing {
  int64_t count = 0;
  int64_t nanoseconds = 0;
};

class Queue {
 public:
  Queue();
  ~Queue();  // drops what has not started, waits for what has
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void push(Command command);
  // Blocks the caller until all that was pushed has run. For the rare moment when memory runs out.
  void wait_until_idle();
  // Runs a command now, on the device's thread only: a part of the one at work. Throws what it
  // throws, with its name.
  void run(const Command& command);
  // The first error since the last call, or null; on the device's thread only.
  std::exception_ptr take_error();
  void set_profiling(bool on);
  // What waits for a command's work while commands are timed. Before the first command.
  void wait_with(std::function<void()> wait) { wait_ = std::move(wait); }
  bool profiling() const { return profiling_; }
  std::map<std::string, Timing> timings();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Command> commands_;
  std::exception_ptr error_;
  std::map<std::string, Timing> timings_;
  std::function<void()> wait_ = [] {};
  std::condition_variable idle_;
  bool busy_ = false;
  std::atomic<bool> profiling_ = false;
  bool stopping_ = false;
  std::thread thread_;
};
