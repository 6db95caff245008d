// A DRAM standard as its data file says it, and the way from there to numbers.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/dram/expression.h"
#include "moeram/dram/spec.h"

namespace moeram {

struct Standard {
  struct Derived {
    std::string name;
    std::string formula;  // empty: a table
    bool only_if_absent = false;
    bool after_overrides = false;
    bool in_ns = false;
    bool keep_otherwise = false;
    std::vector<std::string> by;
    std::map<std::vector<std::int64_t>, double> rows;
    struct Bound {
      std::string name;  // "key": the value of `key`
      bool is_max = true;
      double limit = 0;
    };
    struct Step {
      std::vector<Bound> bounds;
      double value = 0;
    };
    std::string key;
    std::vector<Step> ladder;  // the first step whose bounds all hold
    std::optional<double> otherwise;
    std::string where;
  };
  struct Constraint {
    int level = 0;
    std::vector<int> preceding;
    std::vector<int> following;
    std::string latency;
    int window = 1;
    bool sibling = false;
    std::string where;
  };
  struct PowerTerm {
    std::string name;
    std::string power;
    std::string cycles;
  };
  // A knob that derived steps use, beside organisation and timing.
  struct Setting {
    std::string group;  // key of the map that holds it, "" for the device's own; a named group must be there
    double otherwise = 0;
    std::optional<double> at_least;
    bool is_flag = false;
  };
  struct CycleStatistic {
    std::string name;
    std::string counter;
    std::string cycles;
  };
  struct EnergyTerm {
    std::string figure;  // expression in pJ, or mW for the background
    std::string origin;  // "source: ..." or "assumption: ..."
    std::string where;
  };
  struct Energy {
    std::string scope;
    std::map<std::string, double> figures;  // currents and voltages that the terms use
    EnergyTerm background;
    std::vector<EnergyTerm> commands;  // [command]
  };
  // Wrong behaviour of the simulator that an edition follows; an edition without it is another overlay of its file.
  struct Fault {
    std::string name;
    std::string says;
    bool present = true;
  };
  using Values = std::map<std::string, std::optional<std::int64_t>>;
  using Figures = std::map<std::string, double>;

  Spec skeleton;  // names, flags and rules; no numbers yet
  std::string organization_where;
  std::vector<std::string> density_factors;  // empty: sizes and density are not compared
  std::vector<std::string> organization_parameters;  // sizes beside levels, dq and density
  std::map<std::string, Values> organization_presets;
  std::map<std::string, std::string> organization_sources;  // of presets that the standard's own source lacks
  std::vector<std::string> timing_parameters;
  std::map<std::string, Values> timing_presets;
  std::map<std::string, std::string> scaled_from;      // preset -> the one whose times in ns it keeps
  std::map<std::string, std::string> timing_sources;   // of presets that the standard's own source lacks
  std::vector<Derived> derived;
  Rounding rounding = Rounding::jedec;
  std::string read_latency;
  std::vector<Constraint> constraints;
  std::map<std::string, std::string> delayed_after;  // command -> expression
  std::string refresh_interval, refresh_per_bank_interval;
  std::map<std::string, std::string> in_step_for;  // command -> expression
  std::string opening_deadline;
  std::map<std::string, Figures> voltage_presets;
  std::map<std::string, Figures> current_presets;
  std::vector<PowerTerm> power_background;
  std::vector<PowerTerm> power_commands;
  std::vector<CycleStatistic> cycle_statistics;
  std::map<std::string, Setting> settings;
  std::optional<Energy> energy;
  std::vector<Fault> faults;                // in the order in which they are taken out
  std::map<std::string, Params> sections;   // what later rooms read: controller, instructions, programs, unit
};

// Which of an edition's faults to keep; unknown names are refused.
struct FaultChoice {
  std::optional<bool> all;            // none given: as the file says
  std::map<std::string, bool> named;  // over `all`
};
// `faults: none`, `faults: all` or `faults: {name: false}` of a configuration.
FaultChoice read_fault_choice(const Params& holder);

// Throws ConfigError naming file, line and key.
Standard read_standard(const Params& file);

// By name ("DDR4", "DDR4@2.0") among the standards compiled in, or by path of a YAML file. A bare name means the edition
// that the asking memory system prefers where there is one, else the only edition there is; several others are refused.
// A file may say `extends: NAME` and then holds only what differs (dram/overlay.h).
Standard find_standard(const std::string& name_or_path, const std::string& preferred_edition = "2.0", const FaultChoice& faults = {});
std::vector<std::string> shipped_standards();

// What a user asks of a standard; the same keys as Ramulator 2.0's DRAM map.
struct DeviceOptions {
  std::string organization_preset;
  std::map<std::string, std::int64_t> organization;  // level sizes, dq, density
  std::optional<std::int64_t> channel_width_bits;
  std::string timing_preset;
  std::optional<std::int64_t> rate;
  std::map<std::string, std::int64_t> timing_cycles;  // nXXX
  std::map<std::string, double> timing_ns;            // tXXX
  std::map<std::string, double> settings;
  bool power = false;
  std::string voltage_preset;
  std::string current_preset;
  std::vector<LatencyClass> classes;  // empty: one class
};

// The keys of Ramulator 2.0's DRAM map; reads only keys that the standard has.
DeviceOptions read_device_options(const Standard& standard, const Params& dram);

Spec resolve(const Standard& standard, const DeviceOptions& options);

}  // namespace moeram
