#include <algorithm>
#include <cmath>
#include <limits>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/standard.h"
#include "moeram/dram/standard_read.h"

namespace moeram {
namespace {

constexpr std::int64_t kMostBanks = std::int64_t{1} << 18;
constexpr std::int64_t kMostCycles = (std::int64_t{1} << 31) - 1;  // what the tables of latencies hold

template <class Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, value] : map) names.push_back(name);
  return names;
}

template <class Map>
const auto& preset_of(const Map& presets, const std::string& name, const std::string& kind, const std::string& standard) {
  const auto found = presets.find(name);
  if (found == presets.end()) {
    throw ConfigError(kind + " preset '" + name + "' is unknown in " + standard + did_you_mean(name, names_of(presets)));
  }
  return found->second;
}

void resolve_organization(const Standard& standard, const DeviceOptions& options, Spec& spec) {
  Standard::Values values;
  if (!options.organization_preset.empty()) {
    values = preset_of(standard.organization_presets, options.organization_preset, "organization", spec.standard);
  }
  auto known = spec.levels;
  known.insert(known.end(), {"dq", "density"});
  known.insert(known.end(), standard.organization_parameters.begin(), standard.organization_parameters.end());
  for (const auto& [key, value] : options.organization) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw ConfigError("organization of " + spec.standard + ": '" + key + "' is unknown" + did_you_mean(key, known));
    }
    values[key] = value;
  }
  const auto need = [&](const std::string& key) {
    const auto found = values.find(key);
    if (found == values.end() || !found->second) throw ConfigError("organization of " + spec.standard + ": '" + key + "' is not given");
    if (*found->second < 1 || *found->second > (std::int64_t{1} << 30)) {
      throw ConfigError("organization of " + spec.standard + ": '" + key + "' is " + std::to_string(*found->second) + ", must be " +
                        (*found->second < 1 ? "at least 1" : "at most 2^30"));
    }
    return *found->second;
  };
  spec.counts.clear();
  for (const auto& level : spec.levels) spec.counts.push_back(static_cast<int>(need(level)));
  std::int64_t banks = 1;
  for (int level = 0; level <= spec.bank_level; ++level) {
    banks *= spec.counts[static_cast<std::size_t>(level)];
    if (banks > kMostBanks) {
      throw ConfigError("organization of " + spec.standard + ": '" + spec.levels[static_cast<std::size_t>(level)] + "' is " +
                        std::to_string(spec.counts[static_cast<std::size_t>(level)]) + ", which makes more than " + std::to_string(kMostBanks) + " banks in all");
    }
  }
  spec.dq_bits = static_cast<int>(need("dq"));
  spec.density_mb = need("density");
  if (options.channel_width_bits) spec.channel_width_bits = static_cast<int>(*options.channel_width_bits);
  if (spec.channel_width_bits < 8) throw ConfigError("channel_width of " + spec.standard + " must be at least 8 bits");
  for (const auto& name : standard.organization_parameters) need(name);
  for (const auto& [name, value] : values) spec.organization[name] = value.value_or(0);
  std::int64_t bits = 1;
  if (standard.density_factors.empty()) return;
  for (const auto& factor : standard.density_factors) bits *= parse_integer(factor) ? *parse_integer(factor) : need(factor);
  if ((bits >> 20) != spec.density_mb) {
    throw ConfigError("organization of " + spec.standard + ": its sizes make a density of " + std::to_string(bits >> 20) +
                      " Mb, but the density given is " + std::to_string(spec.density_mb) + " Mb");
  }
}

// Timing parameters in the making: preset, derived steps, user overrides.
class TimingTable {
 public:
  TimingTable(const Standard& standard, const Spec& spec) : standard_(standard), spec_(spec) {}

  void start(const DeviceOptions& options) {
    for (const auto& name : standard_.timing_parameters) values_[name] = std::nullopt;
    if (!options.timing_preset.empty()) {
      if (options.rate) throw ConfigError("timing of " + spec_.standard + ": 'rate' cannot be given together with a preset");
      for (const auto& [name, value] : preset_of(standard_.timing_presets, options.timing_preset, "timing", spec_.standard)) {
        values_[name] = value;
      }
    }
    if (options.rate) values_["rate"] = *options.rate;
    settings_ = options.settings;
    for (const auto& [name, setting] : standard_.settings) settings_.try_emplace(name, setting.otherwise);
    for (const auto& step : standard_.derived) {
      if (!step.after_overrides) apply(step);
    }
    for (const auto& [name, cycles] : options.timing_cycles) set(name, cycles);
    for (const auto& [name, ns] : options.timing_ns) {
      if (!options.timing_cycles.contains(name)) values_[name] = to_cycles(ns, tck_ps(), standard_.rounding);
    }
    for (const auto& step : standard_.derived) {
      if (step.after_overrides) apply(step);
    }
    for (const auto& [name, value] : values_) {
      if (!value) throw ConfigError("timing of " + spec_.standard + ": " + name + " is not specified");
      if (*value < 0) throw ConfigError("timing of " + spec_.standard + ": " + name + " is " + std::to_string(*value) + ", must not be negative");
      if (*value > kMostCycles) throw ConfigError("timing of " + spec_.standard + ": " + name + " is " + std::to_string(*value) + ", must be below 2^31");
    }
  }

  void set(const std::string& name, Cycle value) {
    if (!values_.contains(name)) {
      throw ConfigError("timing of " + spec_.standard + ": '" + name + "' is unknown" + did_you_mean(name, standard_.timing_parameters));
    }
    values_[name] = value;
  }

  double lookup(const std::string& name) const {
    if (const auto found = values_.find(name); found != values_.end()) {
      return found->second ? static_cast<double>(*found->second) : std::numeric_limits<double>::quiet_NaN();
    }
    if (const auto found = settings_.find(name); found != settings_.end()) return found->second;
    if (const auto found = spec_.organization.find(name); found != spec_.organization.end()) return static_cast<double>(found->second);
    if (name == "prefetch") return spec_.prefetch;
    throw ConfigError("'" + name + "' is no parameter of " + spec_.standard + did_you_mean(name, standard_.timing_parameters));
  }

  // The whole expression in ticks of the engine; what is no time (rate, tCK_ps, sizes) keeps its value.
  Cycle ticks(const std::string& expression) const {
    const auto in_ticks = [this](const std::string& name) {
      const bool time = name != "rate" && name != "tCK_ps" && values_.contains(name);
      return lookup(name) * (time ? spec_.ticks_per_cycle : 1);
    };
    const double value = evaluate(expression, {in_ticks, tck_ps()});
    if (!std::isnan(value)) return static_cast<Cycle>(std::llround(value));
    throw ConfigError("timing of " + spec_.standard + ": '" + expression + "' needs a parameter that is not specified");
  }

  std::map<std::string, std::int64_t> all() const {
    std::map<std::string, std::int64_t> out;
    for (const auto& [name, value] : values_) out[name] = *value;
    return out;
  }

 private:
  Picosecond tck_ps() const {
    const auto found = values_.find("tCK_ps");
    return found == values_.end() || !found->second ? 0 : *found->second;
  }

  std::optional<Cycle> cycles_if_known(const std::string& expression) const {
    const double value = evaluate(expression, {[this](const std::string& name) { return lookup(name); }, tck_ps()});
    return std::isnan(value) ? std::nullopt : std::optional(static_cast<Cycle>(std::llround(value)));
  }

  void apply(const Standard::Derived& step) {
    if (step.only_if_absent && values_[step.name]) return;
    try {
      if (!step.formula.empty()) {
        values_[step.name] = cycles_if_known(step.formula);
        return;
      }
      if (!step.ladder.empty()) {
        climb(step);
        return;
      }
      std::vector<std::int64_t> key;
      for (const auto& name : step.by) {
        const double value = lookup(name);
        key.push_back(std::isnan(value) ? -1 : static_cast<std::int64_t>(value));
      }
      const auto found = step.rows.find(key);
      if (found != step.rows.end()) {
        values_[step.name] = step.in_ns ? to_cycles(found->second, tck_ps(), standard_.rounding) : static_cast<Cycle>(found->second);
      } else if (!step.keep_otherwise) {
        values_[step.name] = std::nullopt;  // refused below unless the user gives the value
      }
    } catch (const ConfigError& error) {
      throw ConfigError(step.where + ": " + step.name + ": " + error.what());
    }
  }

  void climb(const Standard::Derived& step) {
    const ExpressionContext context{[this](const std::string& name) { return lookup(name); }, tck_ps()};
    const auto holds = [&](const Standard::Derived::Bound& bound) {
      const double value = bound.name == "key" ? evaluate(step.key, context) : lookup(bound.name);
      return bound.is_max ? value <= bound.limit : value >= bound.limit;
    };
    auto value = step.otherwise;
    for (const auto& row : step.ladder) {
      if (!std::all_of(row.bounds.begin(), row.bounds.end(), holds)) continue;
      value = row.value;
      break;
    }
    if (value) {
      values_[step.name] = step.in_ns ? to_cycles(*value, tck_ps(), standard_.rounding) : static_cast<Cycle>(*value);
    } else if (!step.keep_otherwise) {
      values_[step.name] = std::nullopt;  // refused later unless the user gives the value
    }
  }

  const Standard& standard_;
  const Spec& spec_;
  Standard::Values values_;
  std::map<std::string, double> settings_;
};

std::vector<LatencyClass> class_list(const DeviceOptions& options, const Spec& spec) {
  const int rows = spec.counts[static_cast<std::size_t>(spec.row_level)];
  if (options.classes.empty()) return {LatencyClass{0, rows, {}}};
  std::int32_t next = 0;
  for (const auto& item : options.classes) {
    if (item.row_begin != next || item.row_end <= item.row_begin) {
      throw ConfigError("latency classes of " + spec.standard + " must cover the rows from 0 upward without gap or overlap; one begins at row " +
                        std::to_string(item.row_begin) + " where " + std::to_string(next) + " is expected");
    }
    next = item.row_end;
  }
  if (next != rows) {
    throw ConfigError("latency classes of " + spec.standard + " end at row " + std::to_string(next) + " of " + std::to_string(rows));
  }
  return options.classes;
}

// A class may change only what the opening command starts: the device knows the class by the row it opened.
void refuse_foreign_class_row(const Spec& spec, const Standard::Constraint& row) {
  for (const int preceding : row.preceding) {
    if (row.window != 1 || row.sibling || !spec.commands[static_cast<std::size_t>(preceding)].opening) {
      throw ConfigError(row.where + ": a latency class changes '" + row.latency + "' after " + spec.commands[static_cast<std::size_t>(preceding)].name +
                        ", but may change only rows without window or sibling whose preceding command opens a row");
    }
  }
}

void resolve_rows(const Standard& standard, const TimingTable& base, Spec& spec) {
  std::vector<TimingTable> tables;
  for (const auto& item : spec.classes) {
    tables.push_back(base);
    for (const auto& [name, value] : item.timing) tables.back().set(name, value);
  }
  const auto commands = spec.commands.size();
  spec.rows.assign(static_cast<std::size_t>(spec.bank_level) + 1, std::vector<std::vector<TimingRow>>(commands));
  for (const auto& row : standard.constraints) {
    TimingRow resolved;
    resolved.window = row.window;
    resolved.sibling = row.sibling;
    try {
      for (const auto& table : tables) resolved.latency.push_back(table.ticks(row.latency));
    } catch (const ConfigError& error) {
      throw ConfigError(row.where + ": " + error.what());
    }
    if (std::adjacent_find(resolved.latency.begin(), resolved.latency.end(), std::not_equal_to<>()) != resolved.latency.end()) {
      refuse_foreign_class_row(spec, row);
    }
    if (std::ranges::any_of(resolved.latency, [](Cycle latency) { return latency > kMostCycles / 2; })) {
      throw ConfigError(row.where + ": '" + row.latency + "' comes to more than 2^30 cycles");
    }
    for (const int preceding : row.preceding) {
      for (const int following : row.following) {
        TimingRow between = resolved;
        between.following = following;
        // A command takes effect with the last tick on its bus.
        const Cycle shift = spec.commands[static_cast<std::size_t>(preceding)].bus_ticks - spec.commands[static_cast<std::size_t>(following)].bus_ticks;
        for (Cycle& latency : between.latency) latency += shift;
        spec.rows[static_cast<std::size_t>(row.level)][static_cast<std::size_t>(preceding)].push_back(between);
      }
    }
  }
}

// A command that takes its bus for several ticks holds back every command of that bus.
void add_bus_rows(Spec& spec) {
  for (std::size_t preceding = 0; preceding < spec.commands.size(); ++preceding) {
    const Command& first = spec.commands[preceding];
    if (first.bus_ticks < 2) continue;
    for (std::size_t following = 0; following < spec.commands.size(); ++following) {
      if (spec.commands[following].bus != first.bus) continue;
      TimingRow row;
      row.following = static_cast<int>(following);
      row.latency.assign(spec.classes.size(), first.bus_ticks);
      spec.rows[0][preceding].push_back(row);
    }
  }
}

void resolve_power(const Standard& standard, const DeviceOptions& options, const TimingTable& table, Spec& spec) {
  if (standard.power_commands.empty()) throw ConfigError(spec.standard + " has no energy model; drampower_enable must be false");
  Standard::Figures figures = preset_of(standard.voltage_presets, options.voltage_preset, "voltage", spec.standard);
  for (const auto& [name, value] : preset_of(standard.current_presets, options.current_preset, "current", spec.standard)) figures[name] = value;
  const ExpressionContext context{[&](const std::string& name) {
                                    const auto found = figures.find(name);
                                    if (found == figures.end()) throw ConfigError("'" + name + "' is no voltage or current of " + spec.standard);
                                    return found->second;
                                  },
                                  0};
  PowerModel model;
  for (const auto& term : standard.power_background) {
    (term.cycles == "active_cycles" ? model.active_milliwatt : model.idle_milliwatt) = evaluate(term.power, context);
  }
  for (const auto& term : standard.power_commands) {
    model.commands.push_back({term.name, evaluate(term.power, context), table.ticks(term.cycles)});
  }
  for (const auto& statistic : standard.cycle_statistics) {
    const auto counter = std::find_if(model.commands.begin(), model.commands.end(), [&](const auto& term) { return term.name == statistic.counter; });
    if (counter == model.commands.end()) throw ConfigError(spec.standard + ": " + statistic.name + " counts '" + statistic.counter + "', which is no energy term");
    model.cycle_statistics.push_back({statistic.name, static_cast<std::size_t>(counter - model.commands.begin()), table.ticks(statistic.cycles)});
  }
  spec.power = model;
}

void resolve_intervals(const Standard& standard, const TimingTable& table, Spec& spec) {
  const auto interval = [&](const std::string& expression) {
    const Cycle ticks = table.ticks(expression);
    if (ticks < 1) throw ConfigError("refresh interval of " + spec.standard + " must be at least one cycle");
    return ticks;
  };
  if (spec.refresh) spec.refresh->interval = interval(standard.refresh_interval);
  if (spec.refresh_per_bank) spec.refresh_per_bank->interval = interval(standard.refresh_per_bank_interval);
  if (!spec.two_step) return;
  for (const auto& [name, expression] : standard.in_step_for) {
    spec.two_step->in_step[static_cast<std::size_t>(spec.command(name))] = table.ticks(expression);
  }
  if (!standard.opening_deadline.empty()) spec.two_step->deadline = table.ticks(standard.opening_deadline);
}

void read_settings(const Standard& standard, const Params& dram, DeviceOptions& options) {
  for (const auto& [name, setting] : standard.settings) {
    const Params holder = setting.group.empty() ? dram : dram.child(setting.group);
    if (!holder.has(name)) continue;
    const double value = setting.is_flag ? (holder.boolean(name) ? 1 : 0) : holder.number(name);
    if (setting.at_least && value < *setting.at_least) {
      holder.child(name).fail("must be at least " + std::to_string(static_cast<std::int64_t>(*setting.at_least)));
    }
    options.settings[name] = value;
  }
}

}  // namespace

DeviceOptions read_device_options(const Standard& standard, const Params& dram) {
  DeviceOptions options;
  const Params organization = dram.child("org");
  options.organization_preset = organization.text("preset", "");
  if (organization.has("channel_width")) options.channel_width_bits = organization.integer("channel_width");
  auto sizes = standard.skeleton.levels;
  sizes.insert(sizes.end(), {"dq", "density"});
  sizes.insert(sizes.end(), standard.organization_parameters.begin(), standard.organization_parameters.end());
  for (const auto& key : sizes) {
    if (organization.has(key)) options.organization[key] = organization.integer(key);
  }
  const Params timing = dram.child("timing");
  options.timing_preset = timing.text("preset", "");
  if (timing.has("rate")) options.rate = timing.integer("rate");
  for (const auto& name : standard.timing_parameters) {
    if (name == "rate" || name == "tCK_ps") continue;
    if (timing.has(name)) options.timing_cycles[name] = timing.integer(name);
    const std::string in_ns = "t" + name.substr(1);
    if (timing.has(in_ns)) options.timing_ns[name] = timing.number(in_ns);
  }
  read_settings(standard, dram, options);
  options.power = dram.boolean("drampower_enable", false);
  if (options.power && !standard.power_commands.empty()) {
    options.voltage_preset = dram.child("voltage").text("preset");
    options.current_preset = dram.child("current").text("preset");
  }
  return options;
}

Spec resolve(const Standard& standard, const DeviceOptions& options) {
  Spec spec = standard.skeleton;
  resolve_organization(standard, options, spec);
  TimingTable table(standard, spec);
  table.start(options);
  spec.timing = table.all();
  spec.tck_ps = spec.timing.at("tCK_ps");
  spec.read_latency = table.ticks(standard.read_latency);
  if (const auto base = standard.scaled_from.find(options.timing_preset); base != standard.scaled_from.end()) spec.scaled_from = base->second;
  spec.classes = class_list(options, spec);
  resolve_rows(standard, table, spec);
  add_bus_rows(spec);
  for (auto& command : spec.commands) {
    if (command.apply_later >= 0) command.apply_after = table.ticks(standard.delayed_after.at(command.name));
  }
  resolve_intervals(standard, table, spec);
  resolve_energy(standard, [&](const std::string& name) { return table.lookup(name); }, spec);
  if (options.power && (!standard.power_commands.empty() || !spec.energy)) resolve_power(standard, options, table, spec);
  return spec;
}

}  // namespace moeram
