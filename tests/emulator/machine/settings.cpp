// The settings from the environment. A value that is not understood stops the program: a test that
// silently runs with other settings proves nothing.
#include "emulator/settings.h"

#include <cstdio>
#include <cstdlib>
#include <map>

namespace emulator {
namespace {

[[noreturn]] void refuse(const char* name, const char* value, const char* expected) {
  std::fprintf(stderr, "CUDA emulator: %s=%s, expected %s\n", name, value, expected);
  std::exit(2);
}

template <class T>
void choose(const char* name, T& out, const std::map<std::string, T>& values,
            const char* expected) {
  const char* text = std::getenv(name);
  if (!text || !*text) return;
  const auto found = values.find(text);
  if (found == values.end()) refuse(name, text, expected);
  out = found->second;
}

template <class T>
void number(const char* name, T& out, long long least) {
  const char* text = std::getenv(name);
  if (!text || !*text) return;
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, 10);
  if (*end || value < least) refuse(name, text, "a whole number that is large enough");
  out = static_cast<T>(value);
}

Settings from_environment() {
  Settings s;
  choose<int>("CAPTIONEER_EMULATOR_CAPABILITY", s.capability, {{"8.0", 80}, {"9.0", 90}},
              "8.0 or 9.0");
  choose<bool>("CAPTIONEER_EMULATOR_CHECK", s.check, {{"0", false}, {"1", true}}, "0 or 1");
  choose<Schedule>(
      "CAPTIONEER_EMULATOR_SCHEDULE", s.schedule,
      {{"fifo", Schedule::fifo}, {"reverse", Schedule::reverse}, {"random", Schedule::random}},
      "fifo, reverse or random");
  choose<Async>("CAPTIONEER_EMULATOR_ASYNC", s.async,
                {{"eager", Async::eager}, {"lazy", Async::lazy}, {"random", Async::random}},
                "eager, lazy or random");
  number("CAPTIONEER_EMULATOR_SEED", s.seed, 0);
  number("CAPTIONEER_EMULATOR_WORKERS", s.workers, 1);
  number("CAPTIONEER_EMULATOR_PROCESSORS", s.processors, 1);
  number("CAPTIONEER_EMULATOR_MEMORY", s.memory, 0);
  if (const char* file = std::getenv("CAPTIONEER_EMULATOR_PROFILE")) s.profile = file;
  return s;
}

}  // namespace

Settings& settings() {
  static Settings s = from_environment();
  return s;
}

}  // namespace emulator
