#include "moeram/system/stream_run.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/system/parallel.h"

namespace moeram {

Spec resolve_device(const StreamConfig& config) { return resolve(find_standard(config.standard), config.device); }

StreamRunResult run_streams(const Spec& spec, const StreamConfig& config, const std::vector<Stream>& streams,
                            const std::atomic<bool>* cancelled) {
  if (config.stacks < 1 || config.threads < 1 || config.options.interval < 0 || config.options.refresh_phase < 0) {
    throw ConfigError("a stream run needs at least one stack and thread, and neither a negative interval nor refresh phase");
  }
  const StreamGeometry geometry{spec, config.mapper, config.stacks, config.interleave};
  const auto programs = split_streams(geometry, streams);

  // Channels see nothing of each other and start alike, so equal programs give equal results.
  StreamRunResult result;
  std::vector<std::size_t> first;
  for (std::size_t channel = 0; channel < programs.size(); ++channel) {
    const auto& program = programs[channel];
    const auto same = std::find_if(first.begin(), first.end(), [&](std::size_t other) {
      return config.reuse_identical_channels && programs[other] == program;
    });
    if (program.empty()) {
      result.kind_of_channel.push_back(-1);
      continue;
    }
    result.kind_of_channel.push_back(static_cast<int>(same - first.begin()));
    if (same == first.end()) first.push_back(channel);
  }
  result.kinds.resize(first.size());
  in_parallel(first.size(), config.threads, cancelled, [&](std::size_t kind) {
    const std::size_t channel = first[kind];
    result.kinds[kind] = StreamChannel(geometry, static_cast<int>(channel), programs[channel], config.options).run(cancelled);
  });
  result.count_names = Controller(spec, 0, config.options.controller).count_names();
  for (const auto& kind : result.kinds) result.cycles = std::max(result.cycles, kind.cycles);
  return result;
}

}  // namespace moeram
