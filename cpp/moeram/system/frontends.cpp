#include "moeram/system/frontends.h"

#include <algorithm>
#include <filesystem>

#include "moeram/base/text.h"
#include "moeram/frontend/load_store_trace.h"
#include "moeram/frontend/read_write_trace.h"
#include "moeram/frontend/simple_o3.h"

namespace moeram {
namespace {

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

std::unique_ptr<FrontEnd> make_simple_o3(const Params& frontend, int cores, const std::string& folder) {
  CoreOptions core;
  core.ipc = positive(frontend, "ipc", core.ipc);
  core.window = positive(frontend, "inst_window_depth", core.window);
  core.expected_instructions = frontend.integer("num_expected_insts");
  CacheOptions cache;
  cache.latency_cycles = frontend.integer("llc_latency", cache.latency_cycles);
  cache.line_bytes = positive(frontend, "llc_linesize", cache.line_bytes);
  cache.ways = positive(frontend, "llc_associativity", cache.ways);
  cache.bytes = read_capacity(frontend, "llc_capacity_per_core", "2MB") * cores;
  cache.mshrs = positive(frontend, "llc_num_mshr_per_core", 16) * cores;
  std::vector<std::string> traces = frontend.child("traces").as_texts();
  for (auto& path : traces) path = in_folder(folder, path);
  return std::make_unique<SimpleO3>(traces, core, cache, make_translation(frontend, cores));
}

}  // namespace

std::vector<std::string> frontend_names() { return {"LoadStoreTrace", "ReadWriteTrace", "ReadWriteTraceFixed", "SimpleO3"}; }

FrontEndPlan plan_frontend(const Params& frontend) {
  FrontEndPlan plan;
  plan.implementation = frontend.text("impl");
  plan.clock_ratio = read_clock_ratio(frontend);
  if (plan.implementation == "SimpleO3") {
    plan.cores = static_cast<int>(frontend.child("traces").as_list().size());
    if (plan.cores < 1) frontend.child("traces").fail("at least one trace is needed, one per core");
  }
  return plan;
}

std::unique_ptr<FrontEnd> make_frontend(const FrontEndPlan& plan, const Params& frontend, const Spec& spec, const std::string& folder) {
  if (plan.implementation == "SimpleO3") return make_simple_o3(frontend, plan.cores, folder);
  const std::string path = in_folder(folder, frontend.text("path"));
  if (plan.implementation == "LoadStoreTrace") return std::make_unique<LoadStoreTrace>(path);
  return std::make_unique<ReadWriteTrace>(path, spec, plan.implementation == "ReadWriteTrace");
}

std::string implementation_of(const Params& parent, const std::string& interface, const std::vector<std::string>& allowed) {
  const Params node = parent.child(interface);
  if (!node.is_map()) node.fail("a map with 'impl' is expected");
  const std::string name = node.text("impl");
  if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
    node.child("impl").fail(interface + " '" + name + "' is unknown" + did_you_mean(name, allowed));
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
