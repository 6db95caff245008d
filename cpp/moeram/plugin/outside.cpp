#include "moeram/plugin/outside.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {

static_assert(MOERAM_LEVELS == kMaxLevels);

OutsideLibrary::OutsideLibrary(const std::string& path) : path_(path) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(path, unknown)) throw ConfigError(path + ": no such library");
  // With a folder in its name the loader takes this very file and does not search.
  handle_ = dlopen(std::filesystem::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) throw ConfigError(path + ": cannot be loaded: " + printable(dlerror()));
  const auto entry = reinterpret_cast<const moeram_plugin* (*)()>(dlsym(handle_, MOERAM_PLUGIN_ENTRY));
  plugin_ = entry == nullptr ? nullptr : entry();
  std::string wrong;
  if (plugin_ == nullptr) {
    wrong = "is no plug-in of moeram: it exports no " MOERAM_PLUGIN_ENTRY;
  } else if (plugin_->abi != MOERAM_PLUGIN_ABI) {
    wrong = "was built for version " + std::to_string(plugin_->abi) + " of the plug-in interface; this is version " + std::to_string(MOERAM_PLUGIN_ABI) + ": build it anew";
  }
  if (wrong.empty()) return;
  dlclose(handle_);
  throw ConfigError(path + ": " + wrong);
}

OutsideLibrary::~OutsideLibrary() { dlclose(handle_); }

const moeram_component& OutsideLibrary::find(int kind, const std::string& name) const {
  std::vector<std::string> names;
  for (int i = 0; i < plugin_->components; ++i) {
    const moeram_component& component = plugin_->component[i];
    if (component.kind != kind) continue;
    if (name == component.name) return component;
    names.emplace_back(component.name);
  }
  const std::string what = kind == MOERAM_ROW_POLICY ? "row policy" : "controller plug-in";
  throw ConfigError(path_ + ": has no " + what + " '" + name + "'" + did_you_mean(name, names));
}

OutsideComponent::OutsideComponent(std::shared_ptr<const OutsideLibrary> library, const moeram_component& component, const Params& config,
                                   const Spec& spec, int channel)
    : library_(std::move(library)), component_(component), spec_(spec), config_(&config) {
  describe_device(spec, channel);
  host_ = {this, &option, &timing_cycles, &fail, &add_integer, &add_number, &send_first};
  object_ = component_.create(&host_, &device_);
  config_ = nullptr;
  if (!message_.empty() || object_ == nullptr) {
    if (object_ != nullptr) component_.destroy(object_);
    config.fail(name() + ": " + (message_.empty() ? "could not be made and does not say why" : message_));
  }
}

OutsideComponent::~OutsideComponent() {
  if (object_ != nullptr) component_.destroy(object_);
}

void OutsideComponent::describe_device(const Spec& spec, int channel) {
  for (const auto& level : spec.levels) level_names_.push_back(level.c_str());
  for (const auto& request : spec.requests) request_names_.push_back(request.name.c_str());
  for (const auto& command : spec.commands) {
    std::uint32_t flags = 0;
    if (command.opening) flags |= MOERAM_OPENING;
    if (command.closing) flags |= MOERAM_CLOSING;
    if (command.accessing) flags |= MOERAM_ACCESSING;
    if (command.refreshing) flags |= MOERAM_REFRESHING;
    commands_.push_back({command.name.c_str(), command.scope, flags});
  }
  device_ = {spec.standard.c_str(), channel, static_cast<std::int32_t>(spec.levels.size()), spec.bank_level, spec.row_level, spec.column_level,
             level_names_.data(), spec.counts.data(), static_cast<std::int32_t>(commands_.size()), commands_.data(),
             static_cast<std::int32_t>(request_names_.size()), request_names_.data(), spec.tck_ps};
}

void OutsideComponent::give_up(const std::string& during) const {
  throw EngineError("plug-in " + name() + during + ": " + (message_.empty() ? "failed without saying why" : message_));
}

void OutsideComponent::on_command(Cycle now, int command, const Request& request, MemoryPort* port) {
  moeram_request shown{request.byte_address, {}, request.kind, request.source, request.bank, request.arrive};
  std::copy(request.address.begin(), request.address.end(), shown.address);
  const std::uint32_t span = spec_.commands[static_cast<std::size_t>(command)].span;  // a controller addresses its first bank
  if (span != 0) shown.bank = -1;
  for (int level = 1; level <= spec_.bank_level; ++level) {
    if ((span >> level & 1U) != 0) shown.address[level] = -1;
  }
  port_ = port;
  const std::int32_t failed = component_.on_command(object_, now, command, &shown);
  port_ = nullptr;
  if (failed != 0) give_up(" at cycle " + std::to_string(now));
}

void OutsideComponent::finish() {
  if (component_.finish(object_) != 0) give_up(" at the end of the run");
}

void OutsideComponent::describe(Component& out) const { out.statistics.insert(out.statistics.end(), statistics_.begin(), statistics_.end()); }

// No exception of ours may pass the plug-in's code: it is kept until the call comes back.
const char* OutsideComponent::option(void* self, const char* key) {
  OutsideComponent& me = of(self);
  try {
    if (me.config_ == nullptr || !me.config_->has(key)) return nullptr;
    me.given_.reserve(64);  // pointers into it stay
    if (me.given_.size() == me.given_.capacity()) throw ConfigError("asks for more than 64 options");
    me.given_.push_back(me.config_->text(key));
    return me.given_.back().c_str();
  } catch (const std::exception& error) {
    me.message_ = error.what();
    return nullptr;
  }
}

std::int64_t OutsideComponent::timing_cycles(void* self, const char* name) {
  const auto& timing = of(self).spec_.timing;
  const auto found = timing.find(name);
  return found == timing.end() ? -1 : found->second;
}

void OutsideComponent::fail(void* self, const char* message) { of(self).message_ = printable(message); }

void OutsideComponent::add_integer(void* self, const char* name, std::int64_t value) { of(self).statistics_.emplace_back(printable(name), value); }

void OutsideComponent::add_number(void* self, const char* name, double value) { of(self).statistics_.emplace_back(printable(name), value); }

std::int32_t OutsideComponent::send_first(void* self, std::int32_t kind, const std::int32_t* address) {
  OutsideComponent& me = of(self);
  if (me.port_ == nullptr || kind < 0 || kind >= me.device_.requests) return -1;
  Request request;
  request.kind = kind;
  for (int level = 0; level < me.device_.levels; ++level) {
    const auto l = static_cast<std::size_t>(level);
    // A row or column beyond the bank has no effect of its own; a node beyond its level does not exist.
    if (address[level] < -1 || (level <= me.device_.bank_level && address[level] >= me.spec_.counts[l])) return -1;
    request.address[l] = address[level];
  }
  if (request.address[0] != me.device_.channel) return -1;
  return me.port_->send_first(request) ? 0 : 1;
}

void OutsideRowPolicy::canonical(std::vector<std::int64_t>&) const {
  throw EngineError("row policy " + name() + " of a plug-in: identical channels cannot be told; simulate every channel");
}

}  // namespace moeram
