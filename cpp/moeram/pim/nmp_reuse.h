// A layer whose single experts are taken from what was seen before, as far as it goes.
#pragma once

#include "moeram/pim/expert_memo.h"
#include "moeram/pim/nmp_layer.h"

namespace moeram {

// How much of a run the engine did itself; commands of all channels that it stands for.
struct EngineWork {
  std::int64_t experts = 0;
  std::int64_t experts_simulated = 0;
  std::int64_t commands_simulated = 0;

  // A layer of which nothing was known.
  void add(const LayerTask& task, const NmpLayerResult& result);
  void add(const EngineWork& other);
};

// The same as NmpLayer::run, to the last count. An expert is known if one with as many tokens, whose rows and those of the experts
// that are fetched ahead have the same latency classes, ran from an equal state of everything that it meets: controller and device,
// units and ring, all relative to its beginning. Layers of which two experts have rows in common are simulated. `work` is added to;
// what threads simulate at the same time counts once.
NmpLayerResult run_reusing(const NmpLayerParts& parts, const LayerTask& task, ExpertMemo& memo, EngineWork& work);

}  // namespace moeram
