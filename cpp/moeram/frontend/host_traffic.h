// Ordinary requests of one channel beside a PIM program: a stream by levels, or the channel's part of a load/store trace.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/controller/request_feed.h"
#include "moeram/frontend/load_store_trace.h"
#include "moeram/mapping/address_mapper.h"

namespace moeram {

// Requests that count through the levels of `order`, the first fastest, each from its place in `at` on and round; the other levels stay.
struct HostStream {
  int kind = kRead;
  std::vector<int> order;
  Address at{};
  std::int64_t requests = -1;  // of a channel; -1: without end
  Cycle every = 0;             // at least this many cycles between two
};

class HostStreamFeed : public RequestFeed {
 public:
  // The stream must outlive the feed.
  HostStreamFeed(const Spec& spec, const HostStream& stream, int channel);
  bool finished() const override { return stream_.requests >= 0 && taken_ >= stream_.requests; }
  std::int64_t taken() const override { return taken_; }
  Cycle due() const override { return due_; }
  int kind() const override { return stream_.kind; }
  Request next() const override;
  void advance(Cycle now) override;
  void canonical(Cycle now, std::vector<std::int64_t>& out) const override;

 private:
  const Spec& spec_;
  const HostStream& stream_;
  int channel_;
  std::int64_t taken_ = 0;
  std::int64_t turn_ = 1;  // requests until the places come again
  Cycle due_ = 0;
};

class HostTraceFeed : public RequestFeed {
 public:
  // Both must outlive the feed, and the trace has `requests` of this channel (first to last) by their numbers.
  HostTraceFeed(const RequestRuns& trace, const AddressMapper& mapper, std::vector<std::int64_t> requests);
  bool finished() const override { return next_ >= requests_.size(); }
  std::int64_t taken() const override { return static_cast<std::int64_t>(next_); }
  Cycle due() const override { return 0; }
  int kind() const override { return trace_.at(requests_[next_]).kind(); }
  Request next() const override;
  void advance(Cycle) override { ++next_; }
  void canonical(Cycle, std::vector<std::int64_t>& out) const override { out.push_back(static_cast<std::int64_t>(next_)); }

 private:
  const RequestRuns& trace_;
  const AddressMapper& mapper_;
  std::vector<std::int64_t> requests_;
  std::size_t next_ = 0;
};

}  // namespace moeram
