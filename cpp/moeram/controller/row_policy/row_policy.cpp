#include "moeram/controller/row_policy/row_policy.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

class OpenRowPolicy : public RowPolicy {
 public:
  void on_choice(Cycle, int, const Request&, MemoryPort&) override {}
  void canonical(std::vector<std::int64_t>&) const override {}
  bool treats_banks_alike() const override { return true; }
  std::string name() const override { return "OpenRowPolicy"; }
};

// Asks for a closing command once a bank has been accessed `cap` times since it was last closed.
class ClosedRowPolicy : public RowPolicy {
 public:
  ClosedRowPolicy(const Spec& spec, std::int64_t cap) : spec_(spec), cap_(cap), close_(spec.request("close-row")) {
    if (spec.level("rank") < 0 || spec.level("bankgroup") < 0 || close_ < 0) {
      throw ConfigError("RowPolicy ClosedRowPolicy needs the levels rank and bankgroup and the request close-row; " + spec.standard + " lacks one");
    }
    banks_per_group_ = spec.counts[static_cast<std::size_t>(spec.bank_level)];
    groups_ = spec.counts[static_cast<std::size_t>(spec.level("bankgroup"))];
    accesses_.assign(static_cast<std::size_t>(spec.banks()), 0);
  }

  void on_choice(Cycle, int command, const Request& request, MemoryPort& port) override {
    const Command& facts = spec_.commands[static_cast<std::size_t>(command)];
    if (facts.closing || facts.refreshing) {
      reset(request);
      return;
    }
    if (!facts.accessing) return;
    std::int64_t& count = accesses_[static_cast<std::size_t>(request.bank)];
    if (++count < cap_) return;
    Request close;
    close.kind = close_;
    close.address = request.address;
    port.send_first(close);
    count = 0;
    ++made_;  // also when it was refused, as 2.0 counts
  }

  void canonical(std::vector<std::int64_t>& out) const override { out.insert(out.end(), accesses_.begin(), accesses_.end()); }
  std::string name() const override { return "ClosedRowPolicy"; }
  std::int64_t closing_requests() const override { return made_; }
  void add_closing_requests(std::int64_t count) override { made_ += count; }

 private:
  void reset(const Request& request) {
    if (request.bank >= 0) {
      accesses_[static_cast<std::size_t>(request.bank)] = 0;
      return;
    }
    const int rank = request.address[static_cast<std::size_t>(spec_.level("rank"))];
    const int bank = request.address[static_cast<std::size_t>(spec_.bank_level)];
    const int first = rank * groups_ * banks_per_group_;
    for (int i = 0; i < groups_ * banks_per_group_; ++i) {
      if (bank < 0 || i % banks_per_group_ == bank) accesses_[static_cast<std::size_t>(first + i)] = 0;
    }
  }

  const Spec& spec_;
  std::int64_t cap_;
  int close_;
  int banks_per_group_ = 0;
  int groups_ = 0;
  std::vector<std::int64_t> accesses_;
  std::int64_t made_ = 0;
};

}  // namespace

std::unique_ptr<RowPolicy> make_row_policy(const std::string& name, const Spec& spec, std::int64_t cap) {
  if (name == "OpenRowPolicy") return std::make_unique<OpenRowPolicy>();
  if (name == "ClosedRowPolicy") return std::make_unique<ClosedRowPolicy>(spec, cap);
  throw ConfigError("RowPolicy '" + name + "' is unknown" + did_you_mean(name, {"OpenRowPolicy", "ClosedRowPolicy"}));
}

}  // namespace moeram
