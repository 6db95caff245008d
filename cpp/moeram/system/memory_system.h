// Channels behind one address mapper, driven by one front end.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "moeram/controller/controller.h"
#include "moeram/frontend/frontend.h"
#include "moeram/mapping/address_mapper.h"
#include "moeram/system/repeats.h"

namespace moeram {

// How far two requests lie apart.
struct Shift {
  std::int64_t bytes = 0, blocks = 0;
};

class MemorySystem final : public RequestTarget {
 public:
  MemorySystem(std::shared_ptr<const Spec> spec, std::unique_ptr<AddressMapper> mapper, const ControllerOptions& options);

  bool send(int kind, std::int64_t byte_address, int source, std::uint64_t tag) override;
  bool send(int kind, const Address& address) override;
  void refuse_again(int kind, std::int64_t byte_address, std::int64_t times) override;
  void refuse_again(int kind, const Address& address, std::int64_t times) override;
  std::uint64_t version() const override { return version_; }

  void tick();
  // tick(), but channels in which nothing can happen are left behind.
  void tick_awake() {
    ++now_;
    if (now_ >= next_event_) tick_channels();
  }
  // No tick before this one does anything unless a request comes. Only with tick_awake().
  Cycle next_event() const { return next_event_; }
  // Nothing will ever happen unless a request comes; after tick().
  bool asleep_for_ever();
  void pass(Cycle cycles) { now_ += cycles; }
  // Bring channels that were left behind up to now.
  void catch_up();

  // Count `times` rounds of a period as done, the first of which begins `since` cycles after the period did, and which move
  // requests by `shift` in all. The state stays as it is, now() too; what comes is asked that far back.
  void take_as_done(const Period& period, std::int64_t times, Cycle since, Shift shift);
  // All that is counted, after `requests` requests; with channels that were left behind up to now.
  Moment moment(std::int64_t requests) const;
  // Where a byte lies and is asked for, blocks counted as in `frame`.
  Shift place_of(std::int64_t byte_address, const Frame& frame) const;
  void canonical(const Frame& frame, bool with_refresh, std::vector<std::int64_t>& out) const;

  Cycle now() const { return now_; }
  // With those that were taken as done.
  Cycle total_cycles() const { return now_ + done_; }
  const Spec& spec() const { return *spec_; }
  const AddressMapper& mapper() const { return *mapper_; }
  std::vector<std::unique_ptr<Controller>>& channels() { return channels_; }
  const std::vector<std::unique_ptr<Controller>>& channels() const { return channels_; }
  std::int64_t accepted(int kind) const { return accepted_[static_cast<std::size_t>(kind)]; }

 private:
  bool send(Request& request);
  void tick_channels();
  Request& request_of(int kind, std::int64_t byte_address);
  Address map_shifted(std::int64_t byte_address) const;

  std::shared_ptr<const Spec> spec_;
  std::unique_ptr<AddressMapper> mapper_;
  std::vector<std::unique_ptr<Controller>> channels_;
  std::vector<std::int64_t> accepted_ = {0, 0};
  Cycle now_ = 0;
  Cycle done_ = 0;
  Shift shift_;                // of what was taken as done
  std::optional<Frame> frame_;  // once something was
  std::uint64_t version_ = 0;
  Request last_;  // by byte address
  std::vector<Cycle> wake_;  // [channel] no tick before this one does anything unless a request comes
  Cycle next_event_ = 0;     // the least of them
  static constexpr std::size_t kNoChannel = std::numeric_limits<std::size_t>::max();
  std::size_t ticking_ = kNoChannel;
};

// How fast the two clocks run: the front end makes `frontend` ticks while memory makes `memory`.
struct ClockRatio {
  std::int64_t frontend = 1;
  std::int64_t memory = 1;
};

// Neither changes a result.
struct RunOptions {
  bool skip = true;   // jump over ticks in which nothing happens
  bool fold = false;  // with `skip`: take repetitions of a load/store trace as done
};

// Run until the front end is finished; queued requests are not drained. Returns how many requests were taken as done.
std::int64_t run(FrontEnd& frontend, MemorySystem& memory, ClockRatio ratio, const RunOptions& options);

}  // namespace moeram
