// Controller listeners and row policies from shared libraries, through the C interface of plugin_abi.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/controller/listener.h"
#include "moeram/controller/row_policy/row_policy.h"
#include "moeram/plugin_abi.h"

namespace moeram {

// An open library; closed when the last component of it is gone.
class OutsideLibrary {
 public:
  // Throws ConfigError: no such file, no plug-in, built for another interface.
  explicit OutsideLibrary(const std::string& path);
  ~OutsideLibrary();
  OutsideLibrary(const OutsideLibrary&) = delete;
  OutsideLibrary& operator=(const OutsideLibrary&) = delete;

  // Throws ConfigError with the nearest name that the library has.
  const moeram_component& find(int kind, const std::string& name) const;

 private:
  std::string path_;
  void* handle_ = nullptr;
  const moeram_plugin* plugin_ = nullptr;
};

// One object of a component with everything that it may look at.
class OutsideComponent {
 public:
  // `config` is the component's map; a complaint of the component becomes a ConfigError at its place.
  OutsideComponent(std::shared_ptr<const OutsideLibrary> library, const moeram_component& component, const Params& config, const Spec& spec, int channel);
  ~OutsideComponent();
  OutsideComponent(const OutsideComponent&) = delete;
  OutsideComponent& operator=(const OutsideComponent&) = delete;

  void on_command(Cycle now, int command, const Request& request, MemoryPort* port);
  void finish();
  void describe(Component& out) const;
  std::string name() const { return component_.name; }

 private:
  void describe_device(const Spec& spec, int channel);
  [[noreturn]] void give_up(const std::string& during) const;
  static OutsideComponent& of(void* self) { return *static_cast<OutsideComponent*>(self); }
  static const char* option(void* self, const char* key);
  static std::int64_t timing_cycles(void* self, const char* name);
  static void fail(void* self, const char* message);
  static void add_integer(void* self, const char* name, std::int64_t value);
  static void add_number(void* self, const char* name, double value);
  static std::int32_t send_first(void* self, std::int32_t kind, const std::int32_t* address);

  std::shared_ptr<const OutsideLibrary> library_;
  const moeram_component& component_;
  const Spec& spec_;
  std::vector<const char*> level_names_, request_names_;
  std::vector<moeram_command> commands_;
  moeram_device device_{};
  moeram_host host_{};
  const Params* config_ = nullptr;  // while the object is made
  MemoryPort* port_ = nullptr;      // while it may send
  std::vector<std::string> given_;  // values handed out
  std::string message_;             // of a failure
  std::vector<std::pair<std::string, StatisticValue>> statistics_;
  void* object_ = nullptr;
};

class OutsideListener : public CommandListener {
 public:
  explicit OutsideListener(std::unique_ptr<OutsideComponent> component) : component_(std::move(component)) {}
  void on_command(Cycle now, int command, const Request& request) override { component_->on_command(now, command, request, nullptr); }
  void finish() override { component_->finish(); }
  void describe(Component& out) const override { component_->describe(out); }
  std::string name() const override { return component_->name(); }

 private:
  std::unique_ptr<OutsideComponent> component_;
};

class OutsideRowPolicy : public RowPolicy {
 public:
  explicit OutsideRowPolicy(std::unique_ptr<OutsideComponent> component) : component_(std::move(component)) {}
  void on_choice(Cycle now, int command, const Request& request, MemoryPort& port) override { component_->on_command(now, command, request, &port); }
  void finish() override { component_->finish(); }
  void describe(Component& out) const override { component_->describe(out); }
  // Its state is its own: nobody can tell whether two channels are alike.
  void canonical(std::vector<std::int64_t>&) const override;
  bool has_canonical_state() const override { return false; }
  std::string name() const override { return component_->name(); }

 private:
  std::unique_ptr<OutsideComponent> component_;
};

}  // namespace moeram
