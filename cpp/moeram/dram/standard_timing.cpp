// Organisation and timing of a standard's file: presets, derived values, constraint rows.
#include <algorithm>

#include "moeram/base/text.h"
#include "moeram/dram/standard_read.h"

namespace moeram {
namespace {

// Words of a preset that are no numbers.
constexpr const char* kScaledFrom = "scaled_from";
constexpr const char* kSource = "source";

Standard::Values read_values(const Params& map, const std::vector<std::string>& allowed) {
  Standard::Values values;
  for (const auto& key : map.keys()) {
    if (key == kScaledFrom || key == kSource) continue;
    const Params value = map.child(key);
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) value.fail("'" + key + "' is unknown in a preset" + did_you_mean(key, allowed));
    values[key] = value.is_null() ? std::nullopt : std::optional(value.as_integer());
  }
  return values;
}

// Times in ns are kept, so counts grow with the clock and are rounded up; what is said to keep its cycles does.
void scale(Standard::Values& values, const Standard::Values& base, const std::vector<std::string>& keep, const Params& entry) {
  const auto period = [&](const Standard::Values& of, const char* what) {
    const auto found = of.find("tCK_ps");
    if (found == of.end() || !found->second || *found->second < 1) entry.fail(std::string("tCK_ps of the ") + what + " is needed for scaling");
    return *found->second;
  };
  const std::int64_t from = period(base, "base preset");
  const std::int64_t to = period(values, "scaled preset");
  if (!values.contains("rate")) entry.fail("rate of the scaled preset is needed");
  for (const auto& [name, value] : base) {
    if (values.contains(name) || !value) continue;
    const bool kept = std::find(keep.begin(), keep.end(), name) != keep.end();
    values[name] = kept ? *value : (*value * from + to - 1) / to;
  }
}

void read_timing_presets(const Params& timing, Standard& standard) {
  std::vector<std::string> keep;
  if (const auto scaling = timing.optional_child("scaling")) keep = scaling->child("keep_cycles").as_texts();
  const Params presets = timing.child("presets");
  for (const auto& name : presets.keys()) {
    const Params entry = presets.child(name);
    Standard::Values values = read_values(entry, standard.timing_parameters);
    if (entry.has(kScaledFrom)) {
      const std::string base = entry.text(kScaledFrom);
      if (!standard.timing_presets.contains(base)) entry.child(kScaledFrom).fail("preset '" + base + "' must stand above" + did_you_mean(base, presets.keys()));
      scale(values, standard.timing_presets.at(base), keep, entry);
      standard.scaled_from[name] = base;
    }
    if (entry.has(kSource)) standard.timing_sources[name] = entry.text(kSource);
    standard.timing_presets[name] = values;
  }
}

void read_table(const Params& entry, Standard::Derived& step) {
  step.by = entry.child("by").as_texts();
  const Params rows = entry.child("rows");
  const auto key_of = [&](const Params& at, const std::string& text) {
    if (const auto key = parse_integer(text)) return *key;
    at.fail("'" + text + "' is not a whole number");
  };
  for (const auto& first : rows.keys()) {
    const Params cell = rows.child(first);
    if (step.by.size() == 1) {
      step.rows[{key_of(cell, first)}] = cell.as_number();
      continue;
    }
    for (const auto& second : cell.keys()) step.rows[{key_of(cell, first), key_of(cell, second)}] = cell.number(second);
  }
}

// {dq_max: 8, rate_max: 1600, value: 20}
Standard::Derived::Step read_step(const Params& row) {
  Standard::Derived::Step step;
  step.value = row.number("value");
  for (const auto& key : row.keys()) {
    if (key == "value") continue;
    const bool is_max = key.ends_with("_max");
    if (!is_max && !key.ends_with("_min")) row.child(key).fail("'value' or a name with _max or _min is expected, found '" + key + "'");
    step.bounds.push_back({key.substr(0, key.size() - 4), is_max, row.number(key)});
  }
  return step;
}

Standard::Derived read_derived(const Params& entry, const Standard& standard) {
  Standard::Derived step;
  step.name = entry.text("name");
  const auto& known = standard.timing_parameters;
  if (std::find(known.begin(), known.end(), step.name) == known.end()) {
    entry.child("name").fail("'" + step.name + "' is no timing parameter" + did_you_mean(step.name, known));
  }
  step.where = entry.where();
  step.only_if_absent = entry.boolean("only_if_absent", false);
  step.after_overrides = entry.boolean("after_overrides", false);
  if (entry.has("formula")) {
    step.formula = entry.text("formula");
    return step;
  }
  const std::string unit = entry.text("unit", "cycles");
  if (unit != "ns" && unit != "cycles") entry.child("unit").fail("'ns' or 'cycles' is expected, found '" + unit + "'");
  step.in_ns = unit == "ns";
  const std::string otherwise = entry.text("otherwise");
  if (const auto value = parse_number(otherwise)) {
    step.otherwise = *value;
  } else if (otherwise != "keep" && otherwise != "refuse") {
    entry.child("otherwise").fail("'keep', 'refuse' or a number is expected, found '" + otherwise + "'");
  }
  step.keep_otherwise = otherwise == "keep";
  if (!entry.has("ladder")) {
    read_table(entry, step);
    return step;
  }
  step.key = entry.text("key", "");
  for (const auto& row : entry.list("ladder")) step.ladder.push_back(read_step(row));
  return step;
}

Standard::Constraint read_constraint(const Spec& spec, const Params& entry) {
  const auto parts = entry.as_list();
  if (parts.size() < 4 || parts.size() > 6) entry.fail("[level, preceding, following, latency] is expected");
  Standard::Constraint row;
  row.level = find_level(spec, parts[0], parts[0].as_text());
  row.preceding = find_commands(spec, parts[1]);
  row.following = find_commands(spec, parts[2]);
  row.latency = parts[3].as_text();
  row.where = entry.where();
  for (std::size_t i = 4; i < parts.size(); ++i) {
    const std::string word = parts[i].as_text();
    if (word == "sibling") {
      row.sibling = true;
    } else if (const auto window = word.starts_with("last ") ? parse_integer(word.substr(5)) : std::nullopt; window && *window > 1) {
      row.window = static_cast<int>(*window);
    } else {
      parts[i].fail("'sibling' or 'last N' is expected, found '" + word + "'");
    }
  }
  if (row.level > spec.bank_level) parts[0].fail("rows and columns carry no timing");
  return row;
}

// What neither a preset nor a derived step gives would be found only when the preset is used.
void refuse_missing_parameters(const Params& presets, const Standard& standard) {
  for (const auto& name : presets.keys()) {
    const auto& values = standard.timing_presets.at(name);
    for (const auto& parameter : standard.timing_parameters) {
      const auto found = values.find(parameter);
      if (found != values.end() && found->second) continue;
      const bool derived = std::any_of(standard.derived.begin(), standard.derived.end(), [&](const auto& step) { return step.name == parameter; });
      if (!derived) presets.child(name).fail("'" + parameter + "' is missing, and no derived step gives it");
    }
  }
}

}  // namespace

void read_organization(const Params& organization, Standard& standard) {
  Spec& spec = standard.skeleton;
  standard.organization_where = organization.where();
  spec.prefetch = static_cast<int>(organization.integer("prefetch"));
  if (spec.prefetch < 1) organization.child("prefetch").fail("must be at least 1");
  spec.channel_width_bits = static_cast<int>(organization.integer("channel_width_bits"));
  spec.payload_bytes = organization.integer("payload_bytes", 0);
  auto allowed = spec.levels;
  allowed.insert(allowed.end(), {"dq", "density"});
  if (const auto extra = organization.optional_child("parameters")) standard.organization_parameters = extra->as_texts();
  allowed.insert(allowed.end(), standard.organization_parameters.begin(), standard.organization_parameters.end());
  if (const auto factors = organization.optional_child("density_factors")) standard.density_factors = factors->as_texts();
  for (const auto& name : standard.density_factors) {
    if (!parse_integer(name) && std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
      organization.child("density_factors").fail("'" + name + "' is no size of this standard" + did_you_mean(name, allowed));
    }
  }
  const Params presets = organization.child("presets");
  for (const auto& name : presets.keys()) {
    const Params entry = presets.child(name);
    standard.organization_presets[name] = read_values(entry, allowed);
    if (entry.has(kSource)) standard.organization_sources[name] = entry.text(kSource);
  }
}

void read_timing(const Params& timing, Standard& standard) {
  standard.timing_parameters = timing.child("parameters").as_texts();
  read_timing_presets(timing, standard);
  standard.rounding = named(timing.child("rounding"), rounding_from_name);
  standard.read_latency = timing.text("read_latency");
  for (const auto& entry : timing.list("derived")) standard.derived.push_back(read_derived(entry, standard));
  refuse_missing_parameters(timing.child("presets"), standard);
  for (const auto& entry : timing.list("constraints")) standard.constraints.push_back(read_constraint(standard.skeleton, entry));
}

}  // namespace moeram
