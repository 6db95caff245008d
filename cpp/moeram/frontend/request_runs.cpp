#include "moeram/frontend/request_runs.h"

#include <algorithm>

namespace moeram {
namespace {
constexpr std::int64_t kLook = 64;           // requests between two looks for a run: random traces pay next to nothing
constexpr std::int64_t kLongestPeriod = 16;
}  // namespace

void RequestRuns::add(TraceEntry request) {
  if (open_) {
    Run& run = runs_.back();
    if (request.value == entries_[run.entry + static_cast<std::size_t>(within_)].value + offset_) {
      ++run.count;
      if (++within_ == run.period) {
        within_ = 0;
        offset_ += run.step;
      }
      return;
    }
    open_ = false;
    runs_.push_back({entries_.size(), run.end()});
  }
  if (runs_.empty()) runs_.push_back({});
  entries_.push_back(request);
  Run& run = runs_.back();
  run.period = ++run.count;
  if (run.count % kLook == 0) find_run();
}

// Do the last requests repeat with a short period? Then they are a run, from as far back as they do.
void RequestRuns::find_run() {
  Run& last = runs_.back();
  const TraceEntry* const begin = entries(last);
  const TraceEntry* const end = entries_.data() + entries_.size();
  for (std::int64_t period = 1; period <= kLongestPeriod; ++period) {
    const std::int64_t step = end[-1].value - end[-1 - period].value;
    const TraceEntry* at = end - 1;
    while (at - period >= begin && at->value - at[-period].value == step) --at;
    const std::int64_t count = end - 1 - at + period;
    if (count < kLook) continue;
    const std::int64_t before = last.count - count;
    Run run{last.entry + static_cast<std::size_t>(before), last.first + before, count, period, step};
    within_ = count % period;
    offset_ = count / period * step;
    open_ = true;
    entries_.resize(run.entry + static_cast<std::size_t>(period));
    last.count = last.period = before;
    if (before == 0) runs_.pop_back();
    runs_.push_back(run);
    return;
  }
}

std::int64_t RequestRuns::highest_address() const {
  std::int64_t highest = -1;
  for (const Run& run : runs_) {
    for (std::int64_t i = 0; i < std::min(run.period, run.count); ++i) {
      // Steps go up or down: the first or the last of its place in the period is the highest.
      const std::int64_t last = run.first + i + (run.count - 1 - i) / run.period * run.period;
      highest = std::max({highest, at(run, run.first + i).address(), at(run, last).address()});
    }
  }
  return highest;
}

void RequestRuns::shrink() {
  entries_.shrink_to_fit();
  runs_.shrink_to_fit();
}

std::size_t RequestRuns::run_of(std::int64_t number) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), number, [](std::int64_t n, const Run& run) { return n < run.first; });
  return static_cast<std::size_t>(after - runs_.begin()) - 1;
}

void RequestCursor::begin_run(std::size_t number) {
  run_ = number;
  if (number == list_.runs().size()) return;
  const RequestRuns::Run& run = list_.runs()[number];
  entries_ = list_.entries(run);
  number_ = run.first;
  run_end_ = run.end();
  period_ = run.period;
  step_ = run.step;
  within_ = offset_ = 0;
  due_ = *entries_;
}

void RequestCursor::jump(std::int64_t requests) {
  number_ += requests;
  offset_ += requests / period_ * step_;
  due_.value = entries_[within_].value + offset_;
}

}  // namespace moeram
