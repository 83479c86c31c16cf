#include "profile.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <unordered_map>

#include "block.h"
#include "device_memory.h"

namespace emulator {

bool profiling = false;

namespace {

constexpr size_t kSector = 32;
constexpr size_t kBanks = 32;

// The same instruction of a warp, the same time round: one request.
struct RequestKey {
  Place place;
  uint32_t block, warp, occurrence;
  bool operator==(const RequestKey&) const = default;
};
struct KeyHash {
  size_t operator()(const RequestKey& k) const {
    size_t h = reinterpret_cast<size_t>(k.place) * 0x9E3779B97F4A7C15ull;
    return h ^ (size_t{k.block} << 40) ^ (size_t{k.warp} << 24) ^ k.occurrence;
  }
};
struct Request {
  bool shared, write;
  size_t bytes;
  std::vector<uint64_t> addresses;
};

// What one line of the kernel did in a launch. Transactions: wavefronts of shared memory, sectors
// of global memory; ideal: the fewest that could carry as many bytes.
struct Line {
  bool shared = false, write = false;
  size_t bytes = 0;
  uint64_t requests = 0, transactions = 0, ideal = 0;
};

struct Totals {
  uint64_t bytes = 0, moved = 0;
  std::map<const char*, std::vector<bool>> touched;  // by allocation

  uint64_t distinct() const {
    uint64_t sum = 0;
    for (const auto& [begin, bits] : touched) sum += std::count(bits.begin(), bits.end(), true);
    return sum;
  }
};

std::unordered_map<RequestKey, Request, KeyHash> requests;
std::unordered_map<RequestKey, uint32_t, KeyHash> occurrences;  // by thread, in `warp`
std::map<std::pair<Place, bool>, Line> lines;
Totals reads, writes;
uint64_t launches = 0;

// Wavefronts of a warp's access: threads are served in groups of 128 bytes, each as many times as
// its busiest bank has different words.
uint64_t wavefronts(const std::vector<uint64_t>& addresses, size_t bytes) {
  const size_t width = std::max<size_t>(bytes, 4), group = 128 / width;
  uint64_t sum = 0;
  for (size_t first = 0; first < addresses.size(); first += group) {
    std::vector<uint64_t> words[kBanks];
    size_t busiest = 1;
    for (size_t i = first; i < std::min(addresses.size(), first + group); i++)
      for (size_t b = 0; b < width; b += 4) {
        const uint64_t word = (addresses[i] + b) / 4;
        auto& bank = words[word % kBanks];
        if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
        busiest = std::max(busiest, bank.size());
      }
    sum += busiest;
  }
  return sum;
}

uint64_t sectors(const Request& r) {
  std::vector<uint64_t> touched;
  for (const uint64_t a : r.addresses)
    for (uint64_t s = a / kSector; s <= (a + r.bytes - 1) / kSector; s++) touched.push_back(s);
  std::sort(touched.begin(), touched.end());
  return static_cast<uint64_t>(std::unique(touched.begin(), touched.end()) - touched.begin());
}

void touch(Totals& totals, const Allocation& a, const char* p, size_t bytes) {
  auto& bits = totals.touched[a.begin];
  bits.resize(std::max(bits.size(), a.bytes));
  totals.bytes += bytes;
  for (size_t i = 0; i < bytes; i++) bits[static_cast<size_t>(p - a.begin) + i] = true;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

void profile_access(const void* address, size_t bytes, bool write, const void* place) {
  const Block& b = *current.owner;
  const auto* p = static_cast<const char*>(address);
  const bool shared = b.in_shared(p);
  if (!shared) {
    const Allocation* a = find_allocation(p);
    if (!a || p < a->begin || p + bytes > a->begin + a->bytes) return;
    touch(write ? writes : reads, *a, p, bytes);
    if (!place) {
      (write ? writes : reads).moved += bytes;  // TMA moves whole sectors
      return;
    }
  }
  const uint32_t thread = current.fiber->id;
  const uint32_t occurrence = occurrences[{place, b.number, thread, 0}]++;
  Request& r = requests[{place, b.number, thread / kLanes, occurrence}];
  r.shared = shared;
  r.write = write;
  r.bytes = bytes;
  r.addresses.push_back(shared ? static_cast<uint64_t>(p - b.shared)
                               : reinterpret_cast<uint64_t>(p));
}

void profile_matrix(const void* const* rows, bool write, const void* place) {
  const Block& b = *current.owner;
  std::vector<uint64_t> addresses;
  for (int i = 0; i < 8; i++)
    addresses.push_back(static_cast<uint64_t>(static_cast<const char*>(rows[i]) - b.shared));
  Line& line = lines[{place, write}];
  line.shared = true;
  line.write = write;
  line.bytes = 16;
  line.requests++;
  line.ideal++;
  line.transactions += wavefronts(addresses, 16);
}

void profile_end_block() {
  for (const auto& [key, r] : requests) {
    Line& line = lines[{key.place, r.write}];
    line.shared = r.shared;
    line.write = r.write;
    line.bytes = r.bytes;
    line.requests++;
    const uint64_t total = r.addresses.size() * r.bytes;
    if (r.shared) {
      const uint64_t width = r.addresses.size() * std::max<size_t>(r.bytes, 4);
      line.transactions += wavefronts(r.addresses, r.bytes);
      line.ideal += (width + 127) / 128;
    } else {
      const uint64_t moved = sectors(r);
      line.transactions += moved;
      line.ideal += (total + kSector - 1) / kSector;
      (r.write ? writes : reads).moved += moved * kSector;
    }
  }
  requests.clear();
  occurrences.clear();
}

void profile_end_launch(const Grid& grid) {
  std::ofstream out(settings().profile, std::ios::app);
  const std::string kernel = quoted(function_name(grid.kernel));
  launches++;
  // Unrolled code has several instructions of one line.
  std::map<std::string, Line> merged;
  for (const auto& [key, line] : lines) {
    std::ostringstream name;
    name << quoted(source_line(key.first)) << ",\"space\":\"" << (line.shared ? "shared" : "global")
         << "\",\"write\":" << (line.write ? "true" : "false") << ",\"bytes\":" << line.bytes;
    Line& sum = merged[name.str()];
    sum.requests += line.requests;
    sum.transactions += line.transactions;
    sum.ideal += line.ideal;
  }
  for (const auto& [name, line] : merged)
    out << "{\"kernel\":" << kernel << ",\"launch\":" << launches << ",\"line\":" << name
        << ",\"requests\":" << line.requests << ",\"transactions\":" << line.transactions
        << ",\"ideal\":" << line.ideal << "}\n";
  out << "{\"kernel\":" << kernel << ",\"launch\":" << launches << ",\"grid\":[" << grid.size.x
      << "," << grid.size.y << "," << grid.size.z << "],\"block\":[" << grid.block_size.x << ","
      << grid.block_size.y << "," << grid.block_size.z << "],\"read_bytes\":" << reads.bytes
      << ",\"read_distinct\":" << reads.distinct() << ",\"read_moved\":" << reads.moved
      << ",\"written_bytes\":" << writes.bytes << ",\"written_distinct\":" << writes.distinct()
      << ",\"written_moved\":" << writes.moved << "}\n";
  lines.clear();
  reads = Totals();
  writes = Totals();
}

}  // namespace emulator
