// The state of a controller in relative terms, and what it has counted.
#include <algorithm>

#include "moeram/controller/controller.h"

namespace moeram {

int Controller::distinguished_level() const {
  const int rank = spec_.power ? spec_.level("rank") : 0;  // energy is kept by rank
  return row_policy_->treats_banks_alike() ? std::clamp(refresh_->distinguished_level(), rank, spec_.bank_level) : spec_.bank_level;
}

std::vector<std::int64_t> Controller::canonical(const Frame& frame, bool with_refresh) const {
  std::vector<std::int64_t> out;
  out.reserve(2048);
  device_.canonical(now_, frame, out);
  if (with_refresh) refresh_->canonical(now_, out);
  row_policy_->canonical(out);
  out.push_back(write_mode_);
  const auto add = [&](const Request& request) {
    out.insert(out.end(), {request.kind, request.source, request.byte_address, request.counted, std::max<Cycle>(request.not_before - now_, 0)});
    // Ages decide who is older and enter the latency statistics.
    out.push_back(request.arrive < 0 ? -1 : now_ - request.arrive);
    out.push_back(request.depart < 0 ? -1 : std::max<Cycle>(request.depart - now_, 0));
    frame.label(request.address, out);
  };
  for (const RequestQueue* queue : {&read_, &write_, &active_, &priority_}) {
    out.push_back(queue->size());
    for (int slot = queue->first(); slot != RequestQueue::kNone; slot = queue->next(slot)) add(queue->at(slot));
  }
  out.push_back(static_cast<std::int64_t>(pending_.size()));
  for (std::size_t i = 0; i < pending_.size(); ++i) add(pending_[i]);
  return out;
}

std::vector<std::int64_t> Controller::counts() const {
  const auto& s = statistics_;
  std::vector<std::int64_t> out = {
      s.latencies_from_zero, s.read_latency_sum,
      s.row_hits, s.row_misses, s.row_conflicts,
      s.read_row_hits, s.read_row_misses, s.read_row_conflicts,
      s.write_row_hits, s.write_row_misses, s.write_row_conflicts,
      s.read_attempts, s.write_attempts, s.other_attempts,
      s.queue_length_sum, s.read_queue_length_sum, s.write_queue_length_sum, s.priority_queue_length_sum,
      row_policy_->closing_requests()};
  out.insert(out.end(), issued_.begin(), issued_.end());
  if (device_.meter() == nullptr) return out;
  for (const auto& rank : device_.meter()->counts(now_)) {
    out.insert(out.end(), {rank.active_cycles, rank.idle_cycles});
    out.insert(out.end(), rank.commands.begin(), rank.commands.end());
  }
  return out;
}

}  // namespace moeram
