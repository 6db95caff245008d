#include "moeram/frontend/host_traffic.h"

#include <algorithm>

namespace moeram {
namespace {

// A request takes a burst of columns, as the mappers count them.
std::int64_t places(const Spec& spec, int level) {
  const std::int64_t count = spec.counts[static_cast<std::size_t>(level)];
  return level == spec.column_level ? count / spec.prefetch : count;
}

}  // namespace

HostStreamFeed::HostStreamFeed(const Spec& spec, const HostStream& stream, int channel) : spec_(spec), stream_(stream), channel_(channel) {
  for (const int level : stream.order) turn_ *= places(spec, level);
}

Request HostStreamFeed::next() const {
  Request request;
  request.kind = stream_.kind;
  request.address = stream_.at;
  request.address[0] = channel_;
  std::int64_t rest = taken_;
  for (const int level : stream_.order) {
    const std::int64_t count = places(spec_, level);
    auto& place = request.address[static_cast<std::size_t>(level)];
    place = static_cast<std::int32_t>((place + rest) % count);
    rest /= count;
  }
  return request;
}

void HostStreamFeed::advance(Cycle now) {
  ++taken_;
  due_ = now + stream_.every;
}

void HostStreamFeed::canonical(Cycle now, std::vector<std::int64_t>& out) const {
  out.insert(out.end(), {taken_ % turn_, stream_.requests < 0 ? -1 : stream_.requests - taken_, std::max<Cycle>(due_ - now, 0)});
}

HostTraceFeed::HostTraceFeed(const RequestRuns& trace, const AddressMapper& mapper, std::vector<std::int64_t> requests)
    : trace_(trace), mapper_(mapper), requests_(std::move(requests)) {}

Request HostTraceFeed::next() const {
  Request request;
  const TraceEntry due = trace_.at(requests_[next_]);
  request.kind = due.kind();
  request.byte_address = due.address();
  request.address = mapper_.map(request.byte_address);
  return request;
}

}  // namespace moeram
