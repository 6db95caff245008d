#include "moeram/controller/refresh/refresh_manager.h"

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/controller/refresh/all_bank.h"
#include "moeram/controller/refresh/per_bank.h"

namespace moeram {
namespace {

// For devices without retention data and for near-memory studies that leave refresh out.
class NoRefresh : public RefreshManager {
 public:
  void tick(Cycle, MemoryPort&) override {}
  Cycle next_event() const override { return kNever; }
  void canonical(Cycle, std::vector<std::int64_t>&) const override {}
  int distinguished_level() const override { return 0; }
  bool hasten(Cycle) override { return true; }
  std::string name() const override { return "None"; }
};

}  // namespace

std::unique_ptr<RefreshManager> make_refresh_manager(const std::string& name, const Spec& spec, int channel) {
  if (name == "AllBank") return std::make_unique<AllBankRefresh>(spec, channel);
  if (name == "PerBank") return std::make_unique<PerBankRefresh>(spec, channel);
  if (name == "None") return std::make_unique<NoRefresh>();
  throw ConfigError("RefreshManager '" + name + "' is unknown" + did_you_mean(name, refresh_manager_names()));
}

std::vector<std::string> refresh_manager_names() { return {"AllBank", "PerBank", "None"}; }

namespace {

// To one node of a level and all that lies below it.
Request request_for(const Spec& spec, int channel, int kind, int level, int node) {
  Request request;
  request.kind = kind;
  request.address.fill(-1);
  for (int l = level; l > 0; --l) {
    const int count = spec.counts[static_cast<std::size_t>(l)];
    request.address[static_cast<std::size_t>(l)] = node % count;
    node /= count;
  }
  request.address[0] = channel;
  return request;
}

void send_all(const std::vector<Request>& requests, Cycle now, MemoryPort& port) {
  for (const auto& request : requests) {
    if (!port.send_first(request)) throw EngineError("refresh at cycle " + std::to_string(now) + " found no place in the priority queue: refreshes are not served");
  }
}

}  // namespace

AllBankRefresh::AllBankRefresh(const Spec& spec, int channel) {
  if (!spec.refresh) throw ConfigError("RefreshManager AllBank: " + spec.standard + " has no refresh; use 'None'");
  // 2.0 asks for the number of ranks; where a standard has no rank it finds none and never refreshes.
  if (spec.refresh->level < 0) return;
  level_ = spec.refresh->level;
  interval_ = spec.refresh->interval;
  next_ = interval_;
  for (int node = 0; node < spec.nodes_at(spec.refresh->level); ++node) {
    requests_.push_back(request_for(spec, channel, spec.refresh->request, spec.refresh->level, node));
  }
}

void AllBankRefresh::tick(Cycle now, MemoryPort& port) {
  if (now != next_) return;
  next_ += interval_;
  send_all(requests_, now, port);
}

// Neighbours in turn lie in different bank groups, so that two refreshes in a row rarely hit the same group.
PerBankRefresh::PerBankRefresh(const Spec& spec, int channel) {
  if (!spec.refresh_per_bank) throw ConfigError("RefreshManager PerBank: " + spec.standard + "@" + spec.edition + " has no per-bank refresh; use 'AllBank'");
  const RefreshRule& rule = *spec.refresh_per_bank;
  interval_ = rule.interval;
  next_ = interval_;
  const int nodes = spec.nodes_at(rule.level);
  const int below = spec.banks() / nodes;
  const int per_group = spec.counts[static_cast<std::size_t>(spec.bank_level)];
  const int groups = below / per_group;
  requests_.resize(static_cast<std::size_t>(below));
  for (int turn = 0; turn < below; ++turn) {
    const int bank = turn % groups * per_group + turn / groups;
    for (int node = 0; node < nodes; ++node) {
      requests_[static_cast<std::size_t>(turn)].push_back(request_for(spec, channel, rule.request, spec.bank_level, node * below + bank));
    }
  }
}

void PerBankRefresh::tick(Cycle now, MemoryPort& port) {
  if (now != next_) return;
  next_ += interval_;
  send_all(requests_[static_cast<std::size_t>(turn_)], now, port);
  turn_ = (turn_ + 1) % static_cast<std::int64_t>(requests_.size());
}

}  // namespace moeram
