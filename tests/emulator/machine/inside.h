// Marks the emulator's own work. Functions of the standard library that a kernel's file and the
// emulator both instantiate exist once in the program, perhaps with access hooks: those must do
// nothing while the emulator uses them.
#pragma once
#include "emulator/execution.h"

namespace emulator {

class Inside {
 public:
  Inside() : before_(current.inside) { current.inside = true; }
  ~Inside() { current.inside = before_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  bool before_;
};

}  // namespace emulator
