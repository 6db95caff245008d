// The controller plug-ins of a configuration.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/controller/listener.h"
#include "moeram/dram/spec.h"

namespace moeram {

// A channel as plug-ins see it.
struct Listened {
  int number = 0;
  std::function<void(std::shared_ptr<CommandListener>)> add;
};

template <class Memory>
std::vector<Listened> listened_channels(Memory& memory) {
  std::vector<Listened> out;
  for (auto& channel : memory.channels()) {
    out.push_back({channel->channel(), [&channel](std::shared_ptr<CommandListener> listener) { channel->add_listener(std::move(listener)); }});
  }
  return out;
}

// How a simulator's plug-ins differ from those of Ramulator 2.0.
struct PluginDialect {
  std::map<std::string, std::string> names;  // its own -> ours
  bool file_per_channel = false;             // "<path>.ch<i>" where Ramulator 2.0 leaves the file of its last channel
};

// Read and check the list `plugins`; nothing is made yet. Throws ConfigError naming file, line and key.
void check_plugins(const Params& controller, const Spec& spec, const PluginDialect& dialect = {});

// Add them to every channel. Some of them make files: call it once everything else was found in order.
void add_plugins(const Params& controller, const Spec& spec, const std::vector<Listened>& channels, const std::string& folder,
                 const PluginDialect& dialect = {});

}  // namespace moeram
