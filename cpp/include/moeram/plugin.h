// Plug-ins in C++: controller listeners and row policies in a shared library of their own. Header only; a plug-in links
// nothing of moeram. See docs/plugins.md and examples/plugin.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include "moeram/plugin_abi.h"

namespace moeram::plugin {

using Device = moeram_device;
using Request = moeram_request;

// What a component is made with. Errors are thrown as std::exception; their text reaches the user with the place in
// the configuration.
class Context {
 public:
  Context(const moeram_host* host, const moeram_device* device) : host_(host), device_(device) {}

  const Device& device() const { return *device_; }
  // Timing parameters by name, in cycles; throws if the standard has none of that name.
  std::int64_t timing_cycles(const std::string& name) const {
    const std::int64_t cycles = host_->timing_cycles(host_->self, name.c_str());
    if (cycles < 0) throw std::runtime_error("no timing parameter " + name + " in " + device_->standard);
    return cycles;
  }
  int request_kind(const std::string& name) const {  // -1 if absent
    for (int kind = 0; kind < device_->requests; ++kind) {
      if (name == device_->request_names[kind]) return kind;
    }
    return -1;
  }
  bool has(int command, unsigned flag) const { return (device_->command[command].flags & flag) != 0; }

  // Keys of the component's map; in the constructor only.
  std::string text(const std::string& key, const std::string& otherwise) const {
    const char* value = host_->option(host_->self, key.c_str());
    return value == nullptr ? otherwise : value;
  }
  std::int64_t integer(const std::string& key, std::int64_t otherwise) const {
    const char* value = host_->option(host_->self, key.c_str());
    if (value == nullptr) return otherwise;
    char* end = nullptr;
    const long long number = std::strtoll(value, &end, 0);
    if (end == value || *end != '\0') throw std::runtime_error(key + ": '" + value + "' is not a whole number");
    return number;
  }

  // Statistics of the component; in finish() only.
  void add(const std::string& name, std::int64_t value) const { host_->add_integer(host_->self, name.c_str(), value); }
  void add(const std::string& name, double value) const { host_->add_number(host_->self, name.c_str(), value); }

  // Row policies, in on_command() only. False: the queue is full.
  bool send_first(int kind, const std::int32_t (&address)[MOERAM_LEVELS]) const {
    const std::int32_t answer = host_->send_first(host_->self, kind, address);
    if (answer < 0) throw std::runtime_error("request kind " + std::to_string(kind) + " cannot be sent here");
    return answer == 0;
  }

  const moeram_host* host() const { return host_; }

 private:
  const moeram_host* host_;
  const moeram_device* device_;
};

// A component needs a constructor from const Context& and these two, as members.
class Component {
 public:
  explicit Component(const Context& context) : context(context) {}
  virtual ~Component() = default;
  virtual void on_command(std::int64_t cycle, int command, const Request& request) = 0;
  virtual void finish() {}

 protected:
  Context context;
  template <class T>
  friend struct Glue;
};

// Between the C interface and a class; no exception crosses it.
template <class T>
struct Glue {
  template <class Call>
  static std::int32_t guarded(const moeram_host* host, Call call) {
    try {
      call();
      return 0;
    } catch (const std::exception& error) {
      host->fail(host->self, error.what());
    } catch (...) {
      host->fail(host->self, "failed without saying why");
    }
    return 1;
  }
  static void* create(const moeram_host* host, const moeram_device* device) {
    T* made = nullptr;
    guarded(host, [&] { made = new T(Context(host, device)); });
    return made;
  }
  static std::int32_t on_command(void* object, std::int64_t cycle, std::int32_t command, const moeram_request* request) {
    T* self = static_cast<T*>(object);
    return guarded(static_cast<Component*>(self)->context.host(), [&] { self->on_command(cycle, command, *request); });
  }
  static std::int32_t finish(void* object) {
    T* self = static_cast<T*>(object);
    return guarded(static_cast<Component*>(self)->context.host(), [&] { self->finish(); });
  }
  static void destroy(void* object) { delete static_cast<T*>(object); }
};

template <class T>
moeram_component listener(const char* name) {
  return {MOERAM_CONTROLLER_LISTENER, name, &Glue<T>::create, &Glue<T>::on_command, &Glue<T>::finish, &Glue<T>::destroy};
}

template <class T>
moeram_component row_policy(const char* name) {
  return {MOERAM_ROW_POLICY, name, &Glue<T>::create, &Glue<T>::on_command, &Glue<T>::finish, &Glue<T>::destroy};
}

}  // namespace moeram::plugin

// MOERAM_PLUGIN(listener<RowHeat>("RowHeat"), row_policy<CloseAfter>("CloseAfter")) once per library.
#define MOERAM_PLUGIN(...)                                                                                              \
  extern "C" __attribute__((visibility("default"))) const moeram_plugin* moeram_plugin_entry(void) {                   \
    using namespace moeram::plugin;                                                                                     \
    static const moeram_component components[] = {__VA_ARGS__};                                                         \
    static const moeram_plugin plugin = {MOERAM_PLUGIN_ABI, static_cast<std::int32_t>(sizeof components / sizeof components[0]), components}; \
    return &plugin;                                                                                                     \
  }
