// Recorded lists of kernel calls that are replayed without JavaScript in between. While one is
// recorded, kernels are not run; docs/capture.md has the rules.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "queue.h"
#include "storage.h"

// What a replay runs.
struct Recording {
  std::vector<Command> commands;
  std::unique_ptr<Graph> graph;  // of the device's thread
};

// A recording with the memory that its commands use. JavaScript thread only.
class Capture {
 public:
  Capture(uint64_t id, std::shared_ptr<Pool> pool) : id_(id), pool_(std::move(pool)) {}

  const std::shared_ptr<Pool>& pool() const { return pool_; }
  const std::shared_ptr<Recording>& recording() const { return recording_; }

  std::shared_ptr<Storage> allocate(size_t bytes) {
    auto storage = std::make_shared<Storage>(pool_, bytes, id_);
    made_.push_back(storage);
    return storage;
  }
  // A command uses this memory: it stays as long as the graph, unless it is a temporary of the
  // graph.
  void use(const std::shared_ptr<Storage>& storage) {
    if (storage->recording != id_) kept_.insert(storage);
  }
  void keep(std::shared_ptr<Storage> storage) { kept_.insert(std::move(storage)); }
  // What is alive at the end is a result, which each replay writes again.
  void end() {
    for (const auto& storage : made_)
      if (auto result = storage.lock()) kept_.insert(std::move(result));
    made_.clear();
  }

  // Why the recording is no use, when something impossible was asked for in it.
  std::string refused;

 private:
  uint64_t id_;
  std::shared_ptr<Pool> pool_;
  std::shared_ptr<Recording> recording_ = std::make_shared<Recording>();
  std::unordered_set<std::shared_ptr<Storage>> kept_;
  std::vector<std::weak_ptr<Storage>> made_;
};
