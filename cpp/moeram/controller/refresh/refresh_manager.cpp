#include "moeram/controller/refresh/refresh_manager.h"

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/controller/refresh/all_bank.h"

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
  if (name == "None") return std::make_unique<NoRefresh>();
  throw ConfigError("RefreshManager '" + name + "' is unknown" + did_you_mean(name, {"AllBank", "None"}));
}

AllBankRefresh::AllBankRefresh(const Spec& spec, int channel) {
  if (!spec.refresh) throw ConfigError("RefreshManager AllBank: " + spec.standard + " has no refresh; use 'None'");
  // 2.0 asks for the number of ranks; where a standard has no rank it finds none and never refreshes.
  if (spec.refresh->level < 0) return;
  level_ = spec.refresh->level;
  interval_ = spec.refresh->interval;
  next_ = interval_;
  for (int rank = 0; rank < spec.counts[static_cast<std::size_t>(spec.refresh->level)]; ++rank) {
    Request request;
    request.kind = spec.refresh->request;
    request.address.fill(-1);
    request.address[0] = channel;
    request.address[static_cast<std::size_t>(spec.refresh->level)] = rank;
    requests_.push_back(request);
  }
}

void AllBankRefresh::tick(Cycle now, MemoryPort& port) {
  if (now != next_) return;
  next_ += interval_;
  for (const auto& request : requests_) {
    if (!port.send_first(request)) throw EngineError("refresh at cycle " + std::to_string(now) + " found no place in the priority queue: refreshes are not served");
  }
}

}  // namespace moeram
