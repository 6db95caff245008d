// A host program: a pointer chase and a stream on two memories in one process, each with its own callbacks.
//   cpp_host memory.yaml
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

#include "moeram/host.h"

namespace {

// Each read waits for the one before it: the latency of the memory.
double chase_ns(moeram::HostedMemory& memory, int reads) {
  int left = reads;
  std::int64_t address = 0;
  bool waiting = false;
  while (left > 0) {
    if (!waiting) {
      waiting = memory.read(address, 0, [&](const moeram::HostRead&) {
        waiting = false;
        --left;
      });
      address = (address * 5 + 64 * 1021) % (std::int64_t{1} << 32) / 64 * 64;
    }
    memory.tick();
  }
  return static_cast<double>(memory.now()) * memory.tick_ns() / reads;
}

// As many reads as the memory takes: its bandwidth.
double stream_gb_per_s(moeram::HostedMemory& memory, int reads) {
  int sent = 0;
  int done = 0;
  while (done < reads) {
    while (sent < reads && memory.read(static_cast<std::int64_t>(sent) * memory.transaction_bytes(), 0, [&](const moeram::HostRead&) { ++done; })) ++sent;
    memory.tick();
  }
  return static_cast<double>(reads) * memory.transaction_bytes() / (static_cast<double>(memory.now()) * memory.tick_ns());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string config = argc > 1 ? argv[1] : "memory.yaml";
    moeram::HostedMemory one = moeram::HostedMemory::from_file(config);
    moeram::HostedMemory other = moeram::HostedMemory::from_file(config, {{"MemorySystem.AddrMapper.impl=MOP4CLXOR"}});
    std::printf("latency_ns: %.2f\n", chase_ns(one, 1000));
    std::printf("bandwidth_gb_per_s: %.2f\n", stream_gb_per_s(other, 20000));
    std::fputs(one.finish().c_str(), stdout);
    std::fputs(other.finish().c_str(), stdout);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cpp_host: %s\n", error.what());
    return 2;
  }
  return 0;
}
