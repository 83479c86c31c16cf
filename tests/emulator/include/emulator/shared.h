// The accessor of static shared memory in the emulated build.
#pragma once
#include "emulator/execution.h"

// SHARED(float, tile, [32][33]); declares `tile` as a reference to a float[32][33] that the block's
// threads share. The address of the static byte tells one declaration from another.
#define SHARED(T, name, dimensions)                                                     \
  using name##_shared_type = T dimensions;                                              \
  static char name##_shared_key;                                                        \
  name##_shared_type& name = *static_cast<name##_shared_type*>(emulator::static_shared( \
      &name##_shared_key, sizeof(name##_shared_type),                                   \
      alignof(name##_shared_type) < 16 ? 16 : alignof(name##_shared_type)))
