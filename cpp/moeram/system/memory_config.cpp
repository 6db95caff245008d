#include "moeram/system/memory_config.h"

#include <limits>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/standard.h"
#include "moeram/plugin/outside.h"
#include "moeram/system/frontends.h"

namespace moeram {
namespace {

const std::vector<MemoryFamily>& families() {
  static const std::vector<MemoryFamily> all = {
      {"GenericDRAM", "Controller", "Generic", "Scheduler", {"FRFCFS"}, false},
      {"BHDRAMSystem", "BHDRAMController", "BHDRAMController", "BHScheduler", {"BHScheduler"}, true},
  };
  return all;
}

void read_row_policy(const Params& controller, const std::string& folder, ControllerOptions& options) {
  const Params policy = controller.child("RowPolicy");
  if (policy.is_map() && policy.has("library")) {
    const Params file = policy.child("library");
    const auto library = at_place(file, [&] { return std::make_shared<const OutsideLibrary>(in_folder(folder, file.as_text())); });
    options.row_policy = policy.text("impl");
    const moeram_component& component = at_place(policy.child("impl"), [&]() -> const moeram_component& {
      return library->find(MOERAM_ROW_POLICY, options.row_policy);
    });
    options.make_row_policy = [library, &component, policy](const Spec& spec, int channel) {
      return std::make_unique<OutsideRowPolicy>(std::make_unique<OutsideComponent>(library, component, policy, spec, channel));
    };
    return;
  }
  options.row_policy = implementation_of(controller, "RowPolicy", {"OpenRowPolicy", "ClosedRowPolicy"});
  if (options.row_policy == "ClosedRowPolicy") options.row_policy_cap = policy.integer("cap", options.row_policy_cap);
}

}  // namespace

std::shared_ptr<const Spec> resolve_dram(const Params& dram, bool& price_commands) {
  const Standard standard = at_place(dram, [&] { return find_standard(dram.text("impl")); });
  dram.text("id", "");
  const DeviceOptions options = at_place(dram, [&] { return read_device_options(standard, dram); });
  if (standard.sections.contains("controller")) {
    dram.child("impl").fail(standard.skeleton.standard + "@" + standard.skeleton.edition + " brings a controller of its own; other memory systems have another");
  }
  auto spec = std::make_shared<const Spec>(at_place(dram, [&] { return resolve(standard, options); }));
  price_commands = options.power && !spec->power;
  return spec;
}

ControllerOptions read_controller(const Params& controller, const MemoryFamily& family, int cores, const std::string& folder) {
  ControllerOptions options;
  options.cores = cores;
  options.write_low_watermark = static_cast<float>(read_watermark(controller, "wr_low_watermark", options.write_low_watermark));
  if (options.write_low_watermark == 0) {
    controller.child("wr_low_watermark").fail("must be above 0: at 0 write mode is never left and reads starve for ever");
  }
  options.write_high_watermark = static_cast<float>(read_watermark(controller, "wr_high_watermark", options.write_high_watermark));
  implementation_of(controller, family.scheduler_key, family.schedulers);
  options.scheduler = "FRFCFS";
  options.refresh = implementation_of(controller, "RefreshManager", refresh_manager_names());
  read_row_policy(controller, folder, options);
  if (family.counts_per_command) options.priority_queue_size = std::numeric_limits<int>::max() - 1;
  return options;
}

const MemoryFamily& memory_family(const Params& config) {
  std::vector<std::string> names;
  for (const auto& family : families()) names.push_back(family.implementation);
  const std::string name = implementation_of(config, "MemorySystem", names);
  for (const auto& family : families()) {
    if (family.implementation == name) return family;
  }
  throw EngineError("memory system " + name + " has no family");
}

MemoryPlan build_memory(const Params& config, const MemoryFamily& family, int cores, const std::string& folder) {
  const Params system = config.child("MemorySystem");
  MemoryPlan plan{&family, read_clock_ratio(system), nullptr, system, "", false, {}};
  system.text("id", "");
  const auto spec = resolve_dram(system.child("DRAM"), plan.price_commands);
  const std::string mapper_name = implementation_of(system, "AddrMapper", address_mapper_names());
  auto mapper = at_place(system.child("AddrMapper"), [&] { return make_address_mapper(mapper_name, *spec); });
  if (const std::string loss = mapper_for_odd_counts(mapper_name, *spec); !loss.empty()) {
    plan.warnings.push_back(system.child("AddrMapper").where() + ": " + loss);
  }
  implementation_of(system, family.controller_key, {family.controller});
  plan.controller = system.child(family.controller_key);
  const ControllerOptions options = read_controller(plan.controller, family, cores, folder);
  plan.scheduler = plan.controller.child(family.scheduler_key).text("impl");
  plan.memory = at_place(plan.controller, [&] { return std::make_unique<MemorySystem>(spec, std::move(mapper), options); });
  if (options.refresh == "AllBank" && spec->refresh && spec->refresh->level < 0) {
    plan.warnings.push_back(plan.controller.where() + ": RefreshManager AllBank never refreshes " + spec->standard + "@" + spec->edition + ", as in Ramulator 2.0");
  }
  return plan;
}

}  // namespace moeram
