// When is which node refreshed?
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/controller/memory_port.h"

namespace moeram {

class RefreshManager {
 public:
  virtual ~RefreshManager() = default;
  // Called in every tick after completed reads; may send requests ahead of normal traffic.
  virtual void tick(Cycle now, MemoryPort& port) = 0;
  // The next tick in which it will send something.
  virtual Cycle next_event() const = 0;
  virtual void canonical(Cycle now, std::vector<std::int64_t>& out) const = 0;
  // Nodes of levels below this one are all treated alike.
  virtual int distinguished_level() const { return kMaxLevels; }
  // Let the next refresh come earlier by `cycles`; false: nothing changed, it cannot be moved.
  virtual bool hasten(Cycle) { return false; }
  virtual std::string name() const = 0;
};

std::vector<std::string> refresh_manager_names();
std::unique_ptr<RefreshManager> make_refresh_manager(const std::string& name, const Spec& spec, int channel);  // throws ConfigError

}  // namespace moeram
