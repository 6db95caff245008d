// A list of requests that keeps what repeats once: runs in which each request is the one `period` before, moved by a step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moeram {

// A request as one number: its byte address twice, and one more if it writes.
struct TraceEntry {
  std::int64_t value = 0;
  int kind() const { return static_cast<int>(value & 1); }
  std::int64_t address() const { return value >> 1; }
};

class RequestRuns {
 public:
  // Requests [first, first + count): the first `period` of them stand in the entries from `entry` on, each other one is the one
  // `period` before it plus `step`. Where nothing repeats the period is the whole run.
  struct Run {
    std::size_t entry = 0;
    std::int64_t first = 0, count = 0;
    std::int64_t period = 0;
    std::int64_t step = 0;  // of TraceEntry::value
    std::int64_t end() const { return first + count; }
    bool repeats() const { return count > period; }
  };

  void add(TraceEntry request) {
    if (open_ && continues(request)) return;
    entries_.push_back(request);
    if (--until_look_ == 0) look();
  }
  // To be called after the last; before it there is nothing to read.
  void close();
  std::int64_t size() const { return runs_.empty() ? 0 : runs_.back().end(); }
  bool repeats() const;
  TraceEntry at(std::int64_t number) const { return at(runs_[run_of(number)], number); }
  TraceEntry at(const Run& run, std::int64_t number) const {
    const std::int64_t within = number - run.first;
    return {entries_[run.entry + static_cast<std::size_t>(within % run.period)].value + within / run.period * run.step};
  }
  const std::vector<Run>& runs() const { return runs_; }
  const TraceEntry* entries(const Run& run) const { return entries_.data() + run.entry; }
  // Of all requests.
  std::int64_t highest_address() const;

 private:
  std::size_t run_of(std::int64_t number) const;
  bool continues(TraceEntry request);
  void look();
  void find_run();

  std::vector<TraceEntry> entries_;
  std::vector<Run> runs_;  // the last one, where it does not repeat, counts its requests when it is looked at
  std::int64_t until_look_ = kLook;
  // Of the last run, if it repeats and still goes on: where the next request is expected.
  bool open_ = false;
  std::int64_t within_ = 0, offset_ = 0;
  static constexpr std::int64_t kLook = 64;  // requests between two looks for a run: random traces pay next to nothing
};

// Reads a list from its first request to its last.
class RequestCursor {
 public:
  explicit RequestCursor(const RequestRuns& list, std::size_t run = 0) : list_(list) { begin_run(run); }
  bool finished() const { return run_ == list_.runs().size(); }
  std::int64_t number() const { return period_begin_ + (at_ - entries_); }
  std::size_t run() const { return run_; }
  TraceEntry due() const { return {at_->value + offset_}; }
  void advance() {
    if (++at_ == period_end_) begin_period();
  }
  // Go on within the run, by whole periods.
  void jump(std::int64_t requests);

 private:
  void begin_run(std::size_t run);
  void begin_period();
  void find_end();

  const RequestRuns& list_;
  std::size_t run_ = 0;
  std::int64_t period_begin_ = 0;  // number of its first request
  std::int64_t offset_ = 0;
  const TraceEntry* entries_ = nullptr;  // those of the period
  const TraceEntry* at_ = nullptr;
  const TraceEntry* period_end_ = nullptr;
};

}  // namespace moeram
