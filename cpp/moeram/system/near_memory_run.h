// Many MoE layers on one chip of a near-memory stack: tiers from mono3d, units from pim, layers spread over threads.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "moeram/mono3d/tier_model.h"
#include "moeram/pim/nmp_reuse.h"

namespace moeram {

struct NearMemoryConfig {
  std::string standard = "Mono3D";  // name or path
  std::string organization_preset = "Stratum_32GB";
  std::string timing_preset = "NearMemory_25ps";
  TierOptions tiers;
  NmpShape shape;
  NmpUnitOptions unit;
  std::int32_t result_row = 0;
};

struct NearMemoryRunOptions {
  int threads = 1;
  bool skip = true;
  bool reuse_identical_channels = true;
  ExpertMemo* experts = nullptr;  // where single experts are kept and found; of this config alone
  std::string trace_folder;  // "": none; else layer<N>.ch<C> holds every command of every channel
};

// The device of a config; throws ConfigError if its structure contradicts the shape.
Spec resolve_device(const NearMemoryConfig& config);

// Each layer starts from a drained chip. The result does not depend on the number of threads. Once `cancelled` is true no
// further layer begins; the results of those that did not run are then empty, and so of no use. `work`: what the engine did.
std::vector<NmpLayerResult> run_layers(const Spec& spec, const NearMemoryConfig& config, const std::vector<LayerTask>& layers,
                                       const NearMemoryRunOptions& options, const std::atomic<bool>* cancelled = nullptr,
                                       EngineWork* work = nullptr);

}  // namespace moeram
