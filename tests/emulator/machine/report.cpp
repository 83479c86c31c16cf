// Texts of errors: who, what, and the line of the kernel.
#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>

#include "block.h"

namespace emulator {

namespace {

std::string file_name(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// What addr2line says of an address in a loaded module: pairs of function and file:line, innermost
// first.
std::vector<std::string> symbolize(const void* address) {
  Dl_info module;
  std::vector<std::string> lines;
  if (!address || !dladdr(address, &module)) return lines;
  const auto offset =
      static_cast<const char*>(address) - static_cast<const char*>(module.dli_fbase);
  char command[1024];
  std::snprintf(command, sizeof command, "addr2line -Cfie '%s' %#lx 2>/dev/null", module.dli_fname,
                static_cast<unsigned long>(offset));
  FILE* pipe = popen(command, "r");
  if (!pipe) return lines;
  char text[4096];
  while (std::fgets(text, sizeof text, pipe)) {
    std::string line = text;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    lines.push_back(line.substr(0, line.find(" (discriminator")));
  }
  pclose(pipe);
  return lines;
}

std::string format_text(const char* format, va_list arguments) {
  char text[4096];
  std::vsnprintf(text, sizeof text, format, arguments);
  return text;
}

// The innermost line that is not the emulator's or the library's, and those it is inlined into.
std::string find_line(Place place) {
  // A return address is that of the next instruction.
  const auto lines = symbolize(place ? static_cast<const char*>(place) - 1 : nullptr);
  std::string out;
  int shown = 0;
  for (size_t i = 1; i < lines.size() && shown < 3; i += 2) {
    const std::string& at = lines[i];
    if (at.empty() || at[0] == '?' || at.find("emulator/include/") != std::string::npos ||
        at.find("/usr/include/") != std::string::npos)
      continue;
    if (shown++) out += " < ";
    out += file_name(at);
  }
  return out;
}

[[noreturn]] void stop_at(Place place, const std::string& text) {
  const Fiber* f = current.fiber;
  if (!f) {
    std::fprintf(stderr, "CUDA emulator, outside of a kernel: %s\n", text.c_str());
    std::abort();
  }
  const Grid& grid = *current.owner->grid;
  std::ostringstream out;
  const std::string name = function_name(grid.kernel);
  if (!name.empty()) out << name << ", ";
  const uint3 b = current.block, t = current.thread;
  out << "block (" << b.x << "," << b.y << "," << b.z << ") thread (" << t.x << "," << t.y << ","
      << t.z << "): " << text;
  const std::string line = source_line(place);
  if (!line.empty()) out << "; at " << line;
  stop(out.str());
}

}  // namespace

std::string source_line(Place place) {
  const Inside inside;
  static std::mutex mutex;
  static std::map<Place, std::string> known;
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(place); found != known.end()) return found->second;
  return known[place] = find_line(place);
}

std::string function_name(const void* function) {
  const Inside inside;
  const auto lines = symbolize(function);
  if (lines.empty() || lines[0].empty() || lines[0][0] == '?') return "";
  std::string name = lines[0];
  for (const std::string noise : {"void ", "cuda::", "(anonymous namespace)::"})
    for (size_t at; (at = name.find(noise)) != std::string::npos;) name.erase(at, noise.size());
  // The parameters begin at the first parenthesis outside of the template's arguments.
  int depth = 0;
  for (size_t i = 0; i < name.size(); i++) {
    depth += (name[i] == '<') - (name[i] == '>');
    if (depth == 0 && name[i] == '(') return name.substr(0, i);
  }
  return name;
}

void fail_at(Place place, const char* format, ...) {
  const Inside inside;
  va_list arguments;
  va_start(arguments, format);
  const std::string text = format_text(format, arguments);
  va_end(arguments);
  stop_at(place, text);
}

void fail(const char* format, ...) {
  const Inside inside;
  va_list arguments;
  va_start(arguments, format);
  const std::string text = format_text(format, arguments);
  va_end(arguments);
  stop_at(current.fiber ? current.fiber->place : nullptr, text);
}

}  // namespace emulator
