// Streams over all channels of some stacks of one standard.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "moeram/dram/standard.h"
#include "moeram/system/stream_channel.h"

namespace moeram {

struct StreamConfig {
  std::string standard;  // name or path
  DeviceOptions device;
  std::string mapper = "RoBaRaCoCh";
  std::string interleave;  // see StreamGeometry
  int stacks = 1;
  StreamOptions options;
  int threads = 1;
  bool reuse_identical_channels = true;
};

struct StreamRunResult {
  std::vector<StreamChannelResult> kinds;  // one for each kind of channel, kinds in order of their first channel
  std::vector<int> kind_of_channel;        // -1: a channel without any request
  std::vector<std::string> count_names;    // of StreamChannelResult::counts
  Cycle cycles = 0;                        // until the last channel is done
};

// The device of a config.
Spec resolve_device(const StreamConfig& config);

// The result does not depend on threads, skipping, folding or the reuse of channels, but for `simulated`. Once `cancelled`
// is true the channels under way stop too, with an unfinished result.
StreamRunResult run_streams(const Spec& spec, const StreamConfig& config, const std::vector<Stream>& streams,
                            const std::atomic<bool>* cancelled = nullptr);

}  // namespace moeram
