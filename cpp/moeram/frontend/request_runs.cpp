#include "moeram/frontend/request_runs.h"

#include <algorithm>

namespace moeram {
namespace {
constexpr std::int64_t kLongestPeriod = 16;
}  // namespace

// Is the request the one that the open run goes on with? If not, the run is over.
bool RequestRuns::continues(TraceEntry request) {
  Run& run = runs_.back();
  if (request.value == entries_[run.entry + static_cast<std::size_t>(within_)].value + offset_) {
    ++run.count;
    if (++within_ == run.period) {
      within_ = 0;
      offset_ += run.step;
    }
    return true;
  }
  open_ = false;
  until_look_ = kLook;
  return false;
}

// Count what came since the last run that repeats, and find out whether it does.
void RequestRuns::look() {
  close();
  until_look_ = kLook;
  find_run();
}

void RequestRuns::close() {
  if (open_) return;
  const std::size_t counted = runs_.empty() ? 0 : runs_.back().entry + static_cast<std::size_t>(runs_.back().period);
  if (counted == entries_.size()) return;
  if (runs_.empty() || runs_.back().repeats()) runs_.push_back({counted, size()});
  Run& run = runs_.back();
  run.count = run.period = static_cast<std::int64_t>(entries_.size() - run.entry);
}

bool RequestRuns::repeats() const { return std::ranges::any_of(runs_, &Run::repeats); }

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

std::size_t RequestRuns::run_of(std::int64_t number) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), number, [](std::int64_t n, const Run& run) { return n < run.first; });
  return static_cast<std::size_t>(after - runs_.begin()) - 1;
}

void RequestCursor::begin_run(std::size_t number) {
  run_ = number;
  offset_ = 0;
  if (finished()) {
    period_begin_ = list_.size();
    at_ = entries_;
    return;
  }
  const RequestRuns::Run& run = list_.runs()[number];
  entries_ = at_ = list_.entries(run);
  period_begin_ = run.first;
  find_end();
}

void RequestCursor::begin_period() {
  const RequestRuns::Run& run = list_.runs()[run_];
  period_begin_ = number();
  at_ = entries_;
  if (period_begin_ == run.end()) {
    begin_run(run_ + 1);
    return;
  }
  offset_ += run.step;
  find_end();
}

// The last period may be a part of one.
void RequestCursor::find_end() {
  const RequestRuns::Run& run = list_.runs()[run_];
  period_end_ = entries_ + std::min(run.period, run.end() - period_begin_);
}

void RequestCursor::jump(std::int64_t requests) {
  const RequestRuns::Run& run = list_.runs()[run_];
  period_begin_ += requests;
  offset_ += requests / run.period * run.step;
  find_end();
}

}  // namespace moeram
