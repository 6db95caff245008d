#include "moeram/system/plugins.h"

#include "moeram/base/errors.h"
#include "moeram/plugin/activation_meter.h"
#include "moeram/plugin/command_counter.h"
#include "moeram/plugin/command_trace.h"
#include "moeram/plugin/outside.h"
#include "moeram/system/frontends.h"
#include "moeram/system/memory_config.h"

namespace moeram {
namespace {

using Listener = std::shared_ptr<CommandListener>;

struct PluginKind {
  std::string name;
  void (*check)(const Params& plugin, const Spec& spec);
  Listener (*make)(const Params& plugin, int channel, const Spec& spec, const std::string& folder, bool file_per_channel);
};

Cycle activation_window(const Params& plugin, const Spec& spec) {
  if (plugin.has("window_ns")) {
    const double cycles = plugin.number("window_ns") * 1000 / static_cast<double>(spec.tck_ps);
    if (cycles < 1 || cycles > 1e15) plugin.child("window_ns").fail("must be at least one cycle of the memory and at most 1e15");
    return static_cast<Cycle>(cycles);
  }
  const Cycle window = ActivationMeter::standard_window(spec);
  if (window < 0) plugin.fail(spec.standard + " has no refresh interval; give the length of a window as window_ns");
  return window;
}

const std::vector<PluginKind>& kinds() {
  static const std::vector<PluginKind> all = {
      {"TraceRecorder", [](const Params& plugin, const Spec&) { plugin.text("path"); },
       [](const Params& plugin, int channel, const Spec& spec, const std::string& folder, bool) -> Listener {
         return std::make_shared<CommandTrace>(spec, in_folder(folder, plugin.text("path")) + ".ch" + std::to_string(channel));
       }},
      {"CommandCounter",
       [](const Params& plugin, const Spec&) {
         plugin.text("path");
         plugin.child("commands_to_count").as_texts();
       },
       [](const Params& plugin, int channel, const Spec& spec, const std::string& folder, bool file_per_channel) -> Listener {
         const std::string path = in_folder(folder, plugin.text("path")) + (file_per_channel ? ".ch" + std::to_string(channel) : "");
         return std::make_shared<CommandCounter>(spec, plugin.child("commands_to_count").as_texts(), path);
       }},
      {"ActivationMeter", [](const Params& plugin, const Spec& spec) { activation_window(plugin, spec); },
       [](const Params& plugin, int channel, const Spec& spec, const std::string&, bool) -> Listener {
         return std::make_shared<ActivationMeter>(spec, channel, activation_window(plugin, spec));
       }},
  };
  return all;
}

const PluginKind& find_kind(const Params& entry, const PluginDialect& dialect) {
  std::vector<std::string> names;
  for (const auto& kind : kinds()) names.push_back(kind.name);
  for (const auto& [other, ours] : dialect.names) names.push_back(other);
  const std::string name = implementation_of(entry, "ControllerPlugin", names);
  const auto other = dialect.names.find(name);
  for (const auto& kind : kinds()) {
    if (kind.name == (other == dialect.names.end() ? name : other->second)) return kind;
  }
  throw EngineError("plug-in " + name + " has no kind");
}

bool is_outside(const Params& entry) {
  const Params plugin = entry.child("ControllerPlugin");
  return plugin.is_map() && plugin.has("library");
}

// An object per channel.
void add_outside(const Params& plugin, const Spec& spec, const std::vector<Listened>& channels, const std::string& folder) {
  const Params file = plugin.child("library");
  const auto library = at_place(file, [&] { return std::make_shared<const OutsideLibrary>(in_folder(folder, file.as_text())); });
  const Params name = plugin.child("impl");
  for (const auto& channel : channels) {
    const moeram_component& component = at_place(name, [&]() -> const moeram_component& {
      return library->find(MOERAM_CONTROLLER_LISTENER, name.as_text());
    });
    channel.add(std::make_shared<OutsideListener>(std::make_unique<OutsideComponent>(library, component, plugin, spec, channel.number)));
  }
}

}  // namespace

void check_plugins(const Params& controller, const Spec& spec, const PluginDialect& dialect) {
  for (const auto& entry : controller.list("plugins")) {
    if (is_outside(entry)) continue;
    find_kind(entry, dialect).check(entry.child("ControllerPlugin"), spec);
  }
}

void add_plugins(const Params& controller, const Spec& spec, const std::vector<Listened>& channels, const std::string& folder, const PluginDialect& dialect) {
  for (const auto& entry : controller.list("plugins")) {
    const Params plugin = entry.child("ControllerPlugin");
    if (is_outside(entry)) {
      add_outside(plugin, spec, channels, folder);
      continue;
    }
    const PluginKind& kind = find_kind(entry, dialect);
    for (const auto& channel : channels) channel.add(at_place(plugin, [&] { return kind.make(plugin, channel.number, spec, folder, dialect.file_per_channel); }));
  }
}

}  // namespace moeram
