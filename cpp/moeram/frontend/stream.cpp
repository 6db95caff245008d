#include "moeram/frontend/stream.h"

#include <algorithm>
#include <numeric>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

void check(const StreamGeometry& geometry, const Stream& stream, std::size_t index) {
  const std::string name = "stream " + std::to_string(index) + ": ";
  const std::int64_t transaction = geometry.spec.transaction_bytes();
  if (stream.base < 0 || stream.extent_bytes <= 0 || stream.stride_bytes <= 0) {
    throw ConfigError(name + "base " + std::to_string(stream.base) + ", extent " + std::to_string(stream.extent_bytes) + " and stride " +
                      std::to_string(stream.stride_bytes) + " bytes; allowed: base from 0, extent and stride from 1");
  }
  if (stream.base % transaction != 0 || stream.stride_bytes % transaction != 0) {
    throw ConfigError(name + "base and stride must be whole transactions of " + std::to_string(transaction) + " bytes of " + geometry.spec.standard);
  }
  if (stream.base > geometry.capacity_bytes() || stream.extent_bytes > geometry.capacity_bytes() - stream.base) {
    throw CapacityError(name + "bytes " + std::to_string(stream.base) + " to " + std::to_string(stream.base + stream.extent_bytes - 1) +
                        " do not fit the " + std::to_string(geometry.capacity_bytes()) + " bytes of " + std::to_string(geometry.channels()) + " channels");
  }
  if (stream.kind != kRead && stream.kind != kWrite) throw ConfigError(name + "streams read or write");
}

// The channel is the fastest digit of the address: every channel gets a regular share.
void split_over_channels(const StreamGeometry& geometry, const Stream& stream, std::vector<StreamLane>& lanes) {
  const std::int64_t transaction = geometry.spec.transaction_bytes();
  const std::int64_t channels = geometry.channels();
  const std::int64_t start = stream.base / transaction;
  const std::int64_t stride = stream.stride_bytes / transaction;
  const std::int64_t common = std::gcd(stride, channels);
  const std::int64_t turn = channels / common;  // requests until the same channel comes again
  const std::int64_t span = geometry.span();
  for (std::int64_t i = 0; i < std::min(turn, stream.requests()); ++i) {
    const std::int64_t at = start + i * stride;
    const std::int64_t within = at / channels;
    lanes[static_cast<std::size_t>(at % channels)].push_back(
        {stream.kind, within % span, stride / common, ceil_div(stream.requests() - i, turn), within / span * geometry.interleaved(), geometry.interleaved()});
  }
}

// The row is the digit above the column: a part ends with its bank.
void split_over_banks(const StreamGeometry& geometry, const Stream& stream, std::vector<StreamLane>& lanes) {
  const std::int64_t columns = geometry.transactions_per_row();
  const std::int64_t rows = geometry.spec.counts[static_cast<std::size_t>(geometry.spec.row_level)];
  const std::int64_t banks = geometry.spec.banks();
  const std::int64_t bank_size = columns * rows;
  const std::int64_t start = stream.base / geometry.spec.transaction_bytes();
  const std::int64_t stride = stream.stride_bytes / geometry.spec.transaction_bytes();
  for (std::int64_t i = 0; i < stream.requests();) {
    const std::int64_t at = start + i * stride;
    const std::int64_t inside = at % bank_size;
    const std::int64_t count = std::min(stream.requests() - i, ceil_div(bank_size - inside, stride));
    Address address{};
    std::int64_t rest = at / bank_size;
    for (int level = geometry.spec.bank_level; level >= 1; --level) {
      const int width = geometry.spec.counts[static_cast<std::size_t>(level)];
      address[static_cast<std::size_t>(level)] = static_cast<std::int32_t>(rest % width);
      rest /= width;
    }
    std::int64_t bank = 0;
    for (int level = geometry.spec.bank_level; level >= 1; --level) {
      bank = bank * geometry.spec.counts[static_cast<std::size_t>(level)] + address[static_cast<std::size_t>(level)];
    }
    lanes[static_cast<std::size_t>(rest)].push_back({stream.kind, inside % columns, stride, count, (inside / columns) * banks + bank, banks});
    i += count;
  }
}

// A part that goes on where the one before stopped is the same part.
bool continues(const ChannelStream& a, const ChannelStream& b, std::int64_t span) {
  if (a.kind != b.kind || a.step != b.step || a.block_step != b.block_step) return false;
  const std::int64_t end = a.first + a.count * a.step;
  return b.first == end % span && b.block == a.block + end / span * a.block_step;
}

// Lonely lanes that follow each other are one.
void append(ChannelProgram& program, StreamGroup&& group, std::int64_t span) {
  if (group.empty()) return;
  if (group.size() > 1 || program.empty() || program.back().size() > 1) {
    program.push_back(std::move(group));
    return;
  }
  StreamLane& lane = program.back()[0];
  for (const auto& part : group[0]) {
    if (continues(lane.back(), part, span)) {
      lane.back().count += part.count;
    } else {
      lane.push_back(part);
    }
  }
}

}  // namespace

int StreamGeometry::interleaved_level() const {
  if (interleave.empty()) return 0;
  const int level = spec.level(interleave);
  if (level < 1 || level > spec.bank_level) {
    const std::vector<std::string> allowed(spec.levels.begin() + 1, spec.levels.begin() + spec.bank_level + 1);
    throw ConfigError("streams cannot alternate between nodes of level '" + interleave + "' of " + spec.standard + did_you_mean(interleave, allowed));
  }
  if (mapper != "RoBaRaCoCh") throw ConfigError("streams alternate between nodes of a level only with the address mapper RoBaRaCoCh");
  return level;
}

std::int64_t StreamGeometry::interleaved() const { return interleave.empty() ? 1 : spec.nodes_at(interleaved_level()); }

std::int64_t StreamGeometry::capacity_bytes() const {
  return std::int64_t{channels()} * spec.banks() * spec.counts[static_cast<std::size_t>(spec.row_level)] * transactions_per_row() * spec.transaction_bytes();
}

std::vector<ChannelProgram> split_streams(const StreamGeometry& geometry, const std::vector<Stream>& streams) {
  const bool by_channel = geometry.mapper == "RoBaRaCoCh";
  if (!by_channel && geometry.mapper != "ChRaBaRoCo") {
    throw ConfigError("address mapper '" + geometry.mapper + "' cannot spread streams" + did_you_mean(geometry.mapper, {"RoBaRaCoCh", "ChRaBaRoCo"}));
  }
  if (streams.empty()) throw ConfigError("a stream run needs at least one stream");
  const auto channels = static_cast<std::size_t>(geometry.channels());
  std::vector<ChannelProgram> programs(channels);
  for (std::size_t begin = 0, end = 0; begin < streams.size(); begin = end) {
    while (end < streams.size() && streams[end].group == streams[begin].group) ++end;
    std::vector<StreamGroup> groups(channels);
    for (std::size_t i = begin; i < end; ++i) {
      check(geometry, streams[i], i);
      std::vector<StreamLane> lanes(channels);
      (by_channel ? split_over_channels : split_over_banks)(geometry, streams[i], lanes);
      for (std::size_t channel = 0; channel < channels; ++channel) {
        if (!lanes[channel].empty()) groups[channel].push_back(std::move(lanes[channel]));
      }
    }
    for (std::size_t channel = 0; channel < channels; ++channel) append(programs[channel], std::move(groups[channel]), geometry.span());
  }
  return programs;
}

}  // namespace moeram
