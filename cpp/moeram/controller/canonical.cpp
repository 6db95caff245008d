// The state of a controller in relative terms, and what it has counted.
#include <algorithm>
#include <array>

#include "moeram/controller/controller.h"
#include "moeram/controller/queued_controller.h"

namespace moeram {
namespace {

// In the order of Controller::counts(), where they come first.
template <class Statistics>
auto counted(Statistics& s) {
  return std::array{
      &s.latencies_from_zero, &s.read_latency_sum,
      &s.row_hits, &s.row_misses, &s.row_conflicts,
      &s.read_row_hits, &s.read_row_misses, &s.read_row_conflicts,
      &s.write_row_hits, &s.write_row_misses, &s.write_row_conflicts,
      &s.read_attempts, &s.write_attempts, &s.other_attempts,
      &s.queue_length_sum, &s.read_queue_length_sum, &s.write_queue_length_sum, &s.priority_queue_length_sum};
}

}  // namespace

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
    out.insert(out.end(), {request.kind, request.source, frame.byte_label(request.byte_address), request.counted, std::max<Cycle>(request.not_before - now_, 0)});
    // Ages decide who is older and enter the latency statistics.
    out.push_back(request.arrive < 0 ? -1 : now_ - request.arrive);
    out.push_back(request.depart < 0 ? -1 : std::max<Cycle>(request.depart - now_, 0));
    frame.label(request.address, out);
  };
  visit_queues([&](const auto& queue) {
    out.push_back(queue.size());
    queue.for_each(add);
  });
  out.push_back(static_cast<std::int64_t>(pending_.size()));
  for (std::size_t i = 0; i < pending_.size(); ++i) add(pending_[i]);
  return out;
}

bool Controller::in_one_class(std::int64_t row) const {
  if (spec_.classes.size() == 1) return true;
  const int wanted = device_.class_of_row(static_cast<std::int32_t>(row));
  for (int bank = 0; bank < spec_.banks(); ++bank) {
    if (device_.row_open(bank) && device_.class_of_row(device_.open_row(bank)) != wanted) return false;
  }
  bool alike = true;
  const auto compare = [&](const Request& request) {
    const std::int32_t asked = request.address[static_cast<std::size_t>(spec_.row_level)];
    alike = alike && (asked < 0 || device_.class_of_row(asked) == wanted);
  };
  visit_queues([&](const auto& queue) { queue.for_each(compare); });
  return alike;
}

// Those that still wait have waited until now.
ControllerStatistics Controller::statistics() const {
  ControllerStatistics out = statistics_;
  out.read_queue_length_sum += now_ * (read_.size() + static_cast<std::int64_t>(pending_.size()));
  out.write_queue_length_sum += now_ * write_.size();
  out.priority_queue_length_sum += now_ * priority_.size();
  out.queue_length_sum = out.read_queue_length_sum + out.write_queue_length_sum + out.priority_queue_length_sum;
  return out;
}

std::vector<std::string> Controller::count_names() const {
  std::vector<std::string> out = {
      "latencies_from_zero", "read_latency",
      "row_hits", "row_misses", "row_conflicts",
      "read_row_hits", "read_row_misses", "read_row_conflicts",
      "write_row_hits", "write_row_misses", "write_row_conflicts",
      "num_read_reqs", "num_write_reqs", "num_other_reqs",
      "queue_len", "read_queue_len", "write_queue_len", "priority_queue_len",
      "num_close_reqs"};
  for (const auto& command : spec_.commands) out.push_back(command.name);
  return out;
}

std::vector<std::int64_t> Controller::counts() const {
  const ControllerStatistics s = statistics();
  std::vector<std::int64_t> out;
  for (const std::int64_t* count : counted(s)) out.push_back(*count);
  out.push_back(std::max<std::int64_t>(row_policy_->closing_requests(), 0));
  out.insert(out.end(), issued_.begin(), issued_.end());
  if (device_.meter() == nullptr) return out;
  for (const auto& rank : device_.meter()->counts(now_)) {
    out.insert(out.end(), {rank.active_cycles, rank.idle_cycles});
    out.insert(out.end(), rank.commands.begin(), rank.commands.end());
  }
  return out;
}

void Controller::take_as_done(std::span<const std::int64_t> growth, std::int64_t times, Cycle cycles, Cycle since) {
  auto at = growth.begin();
  for (std::int64_t* count : counted(statistics_)) *count += times * *at++;
  // Latencies counted from cycle 0 grow from round to round.
  statistics_.read_latency_sum += growth[0] * (times * since + cycles * (times * (times - 1) / 2));
  row_policy_->add_closing_requests(times * *at++);
  for (auto& count : issued_) count += times * *at++;
  if (EnergyMeter* meter = device_.meter()) meter->take_as_done(growth.last(static_cast<std::size_t>(growth.end() - at)), times);
  done_ += times * cycles;
}

}  // namespace moeram
