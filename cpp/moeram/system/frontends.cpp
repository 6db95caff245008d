#include "moeram/system/frontends.h"

#include <algorithm>
#include <filesystem>

#include "moeram/base/text.h"
#include "moeram/frontend/bh_o3.h"
#include "moeram/frontend/external.h"
#include "moeram/frontend/load_store_trace.h"
#include "moeram/frontend/read_write_trace.h"
#include "moeram/frontend/simple_o3.h"
#include "moeram/system/memory_config.h"

namespace moeram {
namespace {

constexpr std::int64_t kLargestCache = std::int64_t{16} << 30;
constexpr std::int64_t kMostCores = 4096;

std::int64_t positive(const Params& node, const std::string& key, std::int64_t otherwise) {
  const std::int64_t value = node.integer(key, otherwise);
  if (value < 1) node.child(key).fail("must be at least 1");
  return value;
}

// "256KB", "2MB", "1GB".
std::int64_t read_capacity(const Params& node, const std::string& key, const std::string& otherwise) {
  const std::string text = node.text(key, otherwise);
  for (const auto& [suffix, shift] : {std::pair{"KB", 10}, std::pair{"MB", 20}, std::pair{"GB", 30}}) {
    if (!text.ends_with(suffix)) continue;
    const auto value = parse_integer(text.substr(0, text.size() - 2));
    if (value && *value > 0 && *value < (1 << 20)) return *value << shift;
  }
  node.child(key).fail("'" + text + "' is no capacity; a number followed by KB, MB or GB is expected");
}

std::unique_ptr<Translation> make_translation(const Params& frontend, int cores) {
  const std::string name = implementation_of(frontend, "Translation", {"NoTranslation", "RandomTranslation"});
  const Params node = frontend.child("Translation");
  const std::int64_t max_address = node.integer("max_addr");
  if (name == "NoTranslation") return std::make_unique<NoTranslation>();
  const std::int64_t page_kib = positive(node, "pagesize_KB", 4);
  const auto seed = static_cast<std::int32_t>(node.integer("seed", 123));
  return std::make_unique<RandomTranslation>(max_address, page_kib * 1024, seed, cores);
}

std::vector<std::string> read_paths(const Params& frontend, const std::string& key, const std::string& folder) {
  std::vector<std::string> paths = frontend.has(key) ? frontend.child(key).as_texts() : std::vector<std::string>();
  for (auto& path : paths) path = in_folder(folder, path);
  return paths;
}

CoreOptions read_core(const Params& frontend) {
  CoreOptions core;
  core.ipc = positive(frontend, "ipc", core.ipc);
  core.window = positive(frontend, "inst_window_depth", core.window);
  core.expected_instructions = frontend.integer("num_expected_insts");
  return core;
}

CacheOptions read_cache(const Params& frontend, int cores) {
  CacheOptions cache;
  cache.latency_cycles = frontend.integer("llc_latency", cache.latency_cycles);
  cache.line_bytes = positive(frontend, "llc_linesize", cache.line_bytes);
  cache.ways = positive(frontend, "llc_associativity", cache.ways);
  cache.bytes = read_capacity(frontend, "llc_capacity_per_core", "2MB") * cores;
  if (cache.bytes > kLargestCache) frontend.child("llc_capacity_per_core").fail("makes a cache of more than " + std::to_string(kLargestCache >> 30) + " GB");
  cache.mshrs = positive(frontend, "llc_num_mshr_per_core", 16) * cores;
  return cache;
}

std::unique_ptr<FrontEnd> make_simple_o3(const Params& frontend, int cores, const std::string& folder) {
  return std::make_unique<SimpleO3>(read_paths(frontend, "traces", folder), read_core(frontend), read_cache(frontend, cores),
                                    make_translation(frontend, cores));
}

std::unique_ptr<FrontEnd> make_bh_o3(const Params& frontend, int cores, const std::string& folder) {
  BhO3Options options;
  options.traces = read_paths(frontend, "traces", folder);
  options.attackers = read_paths(frontend, "no_wait_traces", folder);
  const auto cache_file = [&](const std::string& wanted, const std::string& key) {
    const std::string path = frontend.text(key, "llc_serialization");
    return frontend.boolean(wanted, false) ? in_folder(folder, path) : std::string();
  };
  options.load_cache = cache_file("llc_deserialize", "llc_deserialization_filename");
  options.save_cache = cache_file("llc_serialize", "llc_serialization_filename");
  CoreOptions core = read_core(frontend);
  core.most_cycles = positive(frontend, "num_max_cycles", kNever);
  return std::make_unique<BhO3>(options, core, read_cache(frontend, cores), make_translation(frontend, cores));
}

std::size_t entries(const Params& frontend, const std::string& key) { return frontend.has(key) ? frontend.child(key).as_list().size() : 0; }

}  // namespace

FrontEndPlan plan_frontend(const Params& config) {
  FrontEndPlan plan;
  plan.implementation = implementation_of(config, "Frontend", {"LoadStoreTrace", "ReadWriteTrace", "ReadWriteTraceFixed", "SimpleO3", "BHO3", "GEM5"});
  const Params frontend = config.child("Frontend");
  if (plan.implementation == "GEM5") {
    plan.made_for_hosts = true;
    const std::int64_t cores = positive(frontend, "cores", 1);
    if (cores > kMostCores) frontend.child("cores").fail("must be at most " + std::to_string(kMostCores));
    plan.cores = static_cast<int>(cores);
    return plan;
  }
  plan.clock_ratio = read_clock_ratio(frontend);
  plan.folds = plan.implementation == "LoadStoreTrace" && frontend.boolean("fold", true);
  plan.has_cores = plan.implementation == "SimpleO3" || plan.implementation == "BHO3";
  if (!plan.has_cores) return plan;
  const std::size_t waited_for = frontend.child("traces").as_list().size();
  const std::size_t cores = waited_for + (plan.implementation == "BHO3" ? entries(frontend, "no_wait_traces") : 0);
  if (waited_for < 1) frontend.child("traces").fail("at least one trace is needed, one per core");
  if (cores > static_cast<std::size_t>(kMostCores)) frontend.child("traces").fail("more than " + std::to_string(kMostCores) + " cores");
  plan.cores = static_cast<int>(cores);
  return plan;
}

std::unique_ptr<FrontEnd> make_frontend(const FrontEndPlan& plan, const Params& config, const Spec& spec, const std::string& folder) {
  if (plan.made_for_hosts) return std::make_unique<ExternalFrontEnd>(plan.cores);
  const Params frontend = config.child("Frontend");
  return at_place(frontend, [&]() -> std::unique_ptr<FrontEnd> {
    if (plan.implementation == "SimpleO3") return make_simple_o3(frontend, plan.cores, folder);
    if (plan.implementation == "BHO3") return make_bh_o3(frontend, plan.cores, folder);
    const std::string path = in_folder(folder, frontend.text("path"));
    if (plan.implementation == "LoadStoreTrace") return std::make_unique<LoadStoreTrace>(path);
    return std::make_unique<ReadWriteTrace>(path, spec, plan.implementation == "ReadWriteTrace");
  });
}

std::string implementation_of(const Params& parent, const std::string& interface, const std::vector<std::string>& allowed) {
  const Params node = parent.child(interface);
  if (!node.is_map()) node.fail("a map with 'impl' is expected");
  const std::string name = node.text("impl");
  if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
    node.child("impl").fail(interface + " '" + printable(name) + "' is unknown" + did_you_mean(name, allowed));
  }
  return name;
}

std::int64_t read_clock_ratio(const Params& node) {
  const std::int64_t ratio = node.integer("clock_ratio");
  if (ratio < 1 || ratio > 1000000) node.child("clock_ratio").fail("must lie between 1 and 1000000");
  return ratio;
}

std::string in_folder(const std::string& folder, const std::string& path) {
  return folder.empty() ? path : (std::filesystem::path(folder) / path).string();
}

}  // namespace moeram
