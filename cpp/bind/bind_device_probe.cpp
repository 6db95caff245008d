// A channel's device alone, for tests that compare it with a model written elsewhere, and the device of a configuration.
#include <pybind11/stl.h>

#include <algorithm>

#include "bind.h"
#include "moeram/base/errors.h"
#include "moeram/dram/device.h"
#include "moeram/dram/standard.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

class DeviceProbe {
 public:
  explicit DeviceProbe(const Spec& spec) : spec_(spec), device_(spec_) {}
  DeviceProbe(const DeviceProbe&) = delete;
  DeviceProbe& operator=(const DeviceProbe&) = delete;

  std::string prerequisite(const std::string& command, const std::vector<int>& address) const {
    const Address at = address_of(address);
    return spec_.commands[index(device_.prerequisite(command_of(command), at, device_.bank_of(at)))].name;
  }
  Cycle ready_at(const std::string& command, const std::vector<int>& address) const {
    const Address at = address_of(address);
    return device_.ready_at(command_of(command), at, device_.bank_of(at));
  }
  void issue(const std::string& command, const std::vector<int>& address, Cycle now) { device_.issue(command_of(command), address_of(address), now); }
  void tick(Cycle now) { device_.tick(now); }
  py::dict facts() const { return facts_of(spec_); }

 private:
  static std::size_t index(int number) { return static_cast<std::size_t>(number); }

  int command_of(const std::string& name) const {
    const int command = spec_.command(name);
    if (command < 0) throw ConfigError(spec_.standard + " has no command '" + name + "'");
    return command;
  }

  Address address_of(const std::vector<int>& entries) const {
    if (entries.size() != spec_.levels.size()) throw ConfigError("an address of " + spec_.standard + " has " + std::to_string(spec_.levels.size()) + " entries");
    for (std::size_t level = 0; level < index(spec_.row_level); ++level) {
      if (entries[level] < -1 || entries[level] >= spec_.counts[level]) throw ConfigError(spec_.levels[level] + " " + std::to_string(entries[level]) + " does not exist");
    }
    Address address{};
    std::copy(entries.begin(), entries.end(), address.begin());
    return address;
  }

  Spec spec_;
  Device device_;
};

// The device that MemorySystem.DRAM of a moeram-sim configuration asks for.
py::dict resolve_config(const std::string& path) {
  const Params dram = Params::from_file(path).child("MemorySystem").child("DRAM");
  const Standard standard = find_standard(dram.text("impl"));
  return facts_of(resolve(standard, read_device_options(standard, dram)));
}

}  // namespace

void bind_device_probe(py::module_& module) {
  using Numbers = std::map<std::string, std::int64_t>;
  py::class_<DeviceProbe>(module, "DeviceProbe")
      .def(py::init([](const std::string& standard, const std::string& organization, const std::string& timing, const Numbers& sizes, const Numbers& cycles) {
             return std::make_unique<DeviceProbe>(resolve_by_names(standard, organization, timing, sizes, cycles));
           }),
           py::arg("standard"), py::kw_only(), py::arg("organization"), py::arg("timing"), py::arg("sizes") = Numbers{}, py::arg("cycles") = Numbers{})
      .def("prerequisite", &DeviceProbe::prerequisite)
      .def("ready_at", &DeviceProbe::ready_at)
      .def("issue", &DeviceProbe::issue)
      .def("tick", &DeviceProbe::tick)
      .def("facts", &DeviceProbe::facts);
  module.def("resolve_config", &resolve_config, py::arg("path"));
}

}  // namespace moeram::bind
