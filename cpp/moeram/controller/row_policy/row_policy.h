// When is a row closed that nobody needs closed yet?
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/statistics.h"
#include "moeram/controller/memory_port.h"

namespace moeram {

class RowPolicy {
 public:
  virtual ~RowPolicy() = default;
  // Before a chosen command is issued. Requests sent here are seen from the next tick on.
  virtual void on_choice(Cycle now, int command, const Request& request, MemoryPort& port) = 0;
  virtual void canonical(std::vector<std::int64_t>& out) const = 0;
  virtual bool has_canonical_state() const { return true; }
  virtual bool treats_banks_alike() const { return false; }
  virtual std::string name() const = 0;
  // Closing requests made; nothing for a policy that makes none.
  virtual std::int64_t closing_requests() const { return -1; }
  virtual void add_closing_requests(std::int64_t) {}
  // At the end of a run; what it adds is printed with the policy.
  virtual void finish() {}
  virtual void describe(Component&) const {}
};

// `cap`: accesses after which ClosedRowPolicy closes a row.
std::unique_ptr<RowPolicy> make_row_policy(const std::string& name, const Spec& spec, std::int64_t cap);  // throws ConfigError

}  // namespace moeram
