// Streams of requests as descriptors. Each channel has its own cursor and its own back-pressure; a request exists only
// when it can be offered.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moeram/controller/request.h"
#include "moeram/dram/frame.h"

namespace moeram {

// Requests at base, base + stride, ... below base + extent. Streams of equal group that follow each other in a list
// take turns in every channel, one request each; groups follow one another without a pause.
struct Stream {
  std::int64_t base = 0;
  std::int64_t extent_bytes = 0;
  std::int64_t stride_bytes = 0;
  int kind = kRead;
  int group = 0;
  std::int64_t requests() const { return (extent_bytes + stride_bytes - 1) / stride_bytes; }
};

// How addresses spread over channels and blocks (see Frame).
struct StreamGeometry {
  const Spec& spec;
  std::string mapper = "RoBaRaCoCh";  // or ChRaBaRoCo
  int stacks = 1;
  // Neighbouring transactions of a channel alternate between the nodes of the levels down to this one ("bankgroup") before
  // they go on in a row; empty: they go on in a row. Only with RoBaRaCoCh.
  std::string interleave = {};
  int interleaved_level() const;       // throws ConfigError
  std::int64_t interleaved() const;    // banks between which neighbours alternate
  // Transactions until all of these banks go on to another row.
  std::int64_t span() const { return interleaved() * transactions_per_row(); }
  int channels() const { return stacks * spec.counts[0]; }
  std::int64_t transactions_per_row() const { return spec.counts[static_cast<std::size_t>(spec.column_level)] / spec.prefetch; }
  std::int64_t capacity_bytes() const;
};

// A stream's part in one channel: request i is transaction first + i * step, counted from the start of `block`, and
// lies in block + (that / span) * block_step, plus the remainder modulo the interleaved banks.
struct ChannelStream {
  int kind = kRead;
  std::int64_t first = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;
  std::int64_t block = 0;
  std::int64_t block_step = 1;
  bool operator==(const ChannelStream&) const = default;
};

// Parts that follow one another, those of one stream or of lonely streams.
using StreamLane = std::vector<ChannelStream>;
// Lanes that take turns.
using StreamGroup = std::vector<StreamLane>;
// Groups in order.
using ChannelProgram = std::vector<StreamGroup>;

// One program per channel. Throws ConfigError for what no device can be asked (ends outside, odd strides, empty streams).
std::vector<ChannelProgram> split_streams(const StreamGeometry& geometry, const std::vector<Stream>& streams);

}  // namespace moeram
