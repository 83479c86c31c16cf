// Each test prints one line, "ok NAME" or "not ok NAME: why", which emulator.test.ts reads.
#include "harness.h"

#include <cmath>
#include <cstdio>

namespace harness {
namespace {

using emulator::Async;
using emulator::Schedule;

int failures = 0;

void say(const char* name, const std::string& problem) {
  failures += !problem.empty();
  std::printf(problem.empty() ? "ok %s\n" : "not ok %s: %s\n", name, problem.c_str());
  std::fflush(stdout);
}

// Calls visit(text of the configuration) for each; stops when it returns false.
template <class F>
void each_configuration(F visit) {
  const char* schedules[] = {"fifo", "reverse", "random"};
  const char* asyncs[] = {"eager", "lazy", "random"};
  for (int s = 0; s < 3; s++)
    for (int a = 0; a < 3; a++) {
      emulator::settings().schedule = static_cast<Schedule>(s);
      emulator::settings().async = static_cast<Async>(a);
      emulator::settings().seed = static_cast<uint64_t>(1 + s * 3 + a);
      if (!visit(std::string(schedules[s]) + ", " + asyncs[a])) return;
    }
}

}  // namespace

float random_value() {
  static std::mt19937 generator(7);
  return std::uniform_real_distribution<float>(-1, 1)(generator);
}

void correct(const char* name, const std::function<std::string()>& test) {
  std::string problem;
  for (const bool check : {false, true}) {
    emulator::settings().check = check;
    each_configuration([&](const std::string& configuration) {
      const std::string text = test();
      if (!text.empty()) problem = configuration + (check ? ", checked: " : ": ") + text;
      return problem.empty();
    });
    if (!problem.empty()) break;
  }
  say(name, problem);
}

void planted(const char* name, const char* expected, const std::function<std::string()>& test) {
  emulator::settings().check = true;
  std::string seen = "no error in any configuration";
  bool found = false;
  each_configuration([&](const std::string&) {
    const std::string text = test();
    if (!text.empty()) seen = text;
    found = text.find(expected) != std::string::npos;
    return !found;
  });
  if (found && seen.find(".cu:") == std::string::npos) {
    found = false;
    seen = "the report names no line: " + seen;
  }
  say(name, found ? "" : std::string("expected \"") + expected + "\", got: " + seen);
}

std::vector<double> multiply(const std::vector<float>& a, const std::vector<float>& b, int m, int n,
                             int k, bool b_rows) {
  std::vector<double> out(static_cast<size_t>(m * n));
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++)
      for (int l = 0; l < k; l++)
        out[i * n + j] += double{a[i * k + l]} * double{b[b_rows ? j * k + l : l * n + j]};
  return out;
}

std::string compare(const std::vector<float>& got, const std::vector<double>& want,
                    double tolerance) {
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < want.size(); i++) {
    const double difference = std::fabs(got[i] - want[i]);
    if (difference <= worst) continue;
    worst = difference;
    at = i;
    if (std::isnan(difference)) break;
  }
  if (worst <= tolerance) return "";
  char text[128];
  std::snprintf(text, sizeof text, "element %zu differs: %g, expected %g", at, double{got[at]},
                want[at]);
  return text;
}

int result() { return failures ? 1 : 0; }

}  // namespace harness
