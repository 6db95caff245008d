// moeram inside another simulator: send requests, tick, get callbacks. Nothing is global: any number of memories may live
// in one process, each used by one thread at a time. Link moeram::moeram (find_package(moeram)); see docs/hosts.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "moeram/base/errors.h"

namespace moeram {

struct HostOptions {
  std::vector<std::string> overrides;  // "MemorySystem.DRAM.timing.nRCD=20"
  bool strict = false;                 // keys that Ramulator 2.0 ignores are errors
  std::string folder;                  // that relative paths of the configuration count from; "": the working directory
};

// A read whose data are there. Cycles are of the memory's clock; arrive is -1 if it was answered by a queued write.
struct HostRead {
  std::int64_t byte_address = 0;
  int source = -1;
  std::int64_t arrive = -1;
  std::int64_t depart = -1;
};

// The memory system of a configuration in Ramulator 2.0's syntax. Its Frontend is left out or {impl: GEM5}, with
// `cores: N` if the sources of requests are to have statistics of their own (default 1).
class HostedMemory {
 public:
  using OnRead = std::function<void(const HostRead&)>;

  // Throw ConfigError naming file, line and key.
  static HostedMemory from_file(const std::string& path, const HostOptions& options = {});
  static HostedMemory from_text(const std::string& text, const HostOptions& options = {});
  HostedMemory(HostedMemory&&) noexcept;
  HostedMemory& operator=(HostedMemory&&) noexcept;
  ~HostedMemory();

  // False: refused, offer it again after a tick. The callback comes from within tick() and may send; writes have none.
  // Addresses beyond the memory's capacity wrap around, as in Ramulator 2.0. Throws EngineError for a negative address or
  // a source that is neither -1 nor below the number of cores.
  bool read(std::int64_t byte_address, int source, OnRead done);
  bool write(std::int64_t byte_address, int source);

  // One cycle of the memory's clock, tick_ns() long.
  void tick();
  std::int64_t now() const;
  double tick_ns() const;
  int transaction_bytes() const;

  // The cycle whose tick is the next that may do anything, if nothing is sent before; pass(n) lets n cycles go by that lie
  // before it, at once. Both may be left alone: tick() alone gives the same results.
  std::int64_t next_event();
  void pass(std::int64_t cycles);

  const std::vector<std::string>& warnings() const;
  // Ends the run: plug-ins write their files. Once only. The statistics as Ramulator 2.0 prints them.
  std::string finish();

 private:
  struct State;
  explicit HostedMemory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moeram
