#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/dram/standard.h"

namespace moeram {
namespace {

int find_level(const Spec& spec, const Params& at, const std::string& name) {
  const int level = spec.level(name);
  if (level < 0) at.fail("level '" + name + "' is unknown" + did_you_mean(name, spec.levels));
  return level;
}

int find_command(const Spec& spec, const Params& at, const std::string& name) {
  const int command = spec.command(name);
  if (command >= 0) return command;
  std::vector<std::string> names;
  for (const auto& known : spec.commands) names.push_back(known.name);
  at.fail("command '" + name + "' is unknown" + did_you_mean(name, names));
}

std::vector<int> find_commands(const Spec& spec, const Params& at) {
  std::vector<int> found;
  for (const auto& item : at.as_list()) found.push_back(find_command(spec, item, item.as_text()));
  return found;
}

void read_names(const Params& file, Spec& spec) {
  spec.standard = file.text("standard");
  spec.edition = file.text("edition");
  spec.levels = file.child("levels").as_texts();
  if (spec.levels.size() < 4 || spec.levels.size() > kMaxLevels) file.child("levels").fail("4 to 8 levels are expected");
  if (spec.levels.front() != "channel" || spec.levels.back() != "column" || spec.levels[spec.levels.size() - 2] != "row") {
    file.child("levels").fail("levels go from channel to row and column");
  }
  spec.column_level = static_cast<int>(spec.levels.size()) - 1;
  spec.row_level = spec.column_level - 1;
  spec.bank_level = spec.row_level - 1;
  const Params commands = file.child("commands");
  for (const auto& name : commands.keys()) {
    const Params entry = commands.child(name);
    Command command;
    command.name = name;
    command.scope = find_level(spec, entry, entry.text("scope"));
    command.opening = entry.boolean("opening", false);
    command.closing = entry.boolean("closing", false);
    command.accessing = entry.boolean("accessing", false);
    command.refreshing = entry.boolean("refreshing", false);
    spec.commands.push_back(command);
  }
  const Params requests = file.child("requests");
  for (const auto& name : requests.keys()) {
    spec.requests.push_back({name, find_command(spec, requests.child(name), requests.text(name))});
  }
  if (spec.requests.size() < 2) requests.fail("at least two requests are expected, reading and writing");
}

Standard::Values read_values(const Params& map) {
  Standard::Values values;
  for (const auto& key : map.keys()) {
    const Params value = map.child(key);
    values[key] = value.is_null() ? std::nullopt : std::optional(value.as_integer());
  }
  return values;
}

std::map<std::string, Standard::Values> read_presets(const Params& map) {
  std::map<std::string, Standard::Values> presets;
  for (const auto& name : map.keys()) presets[name] = read_values(map.child(name));
  return presets;
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

Standard::Derived read_derived(const Params& entry) {
  Standard::Derived step;
  step.name = entry.text("name");
  step.where = entry.where();
  step.only_if_absent = entry.boolean("only_if_absent", false);
  step.after_overrides = entry.boolean("after_overrides", false);
  if (entry.has("formula")) {
    step.formula = entry.text("formula");
    return step;
  }
  step.in_ns = entry.text("unit", "cycles") == "ns";
  const std::string otherwise = entry.text("otherwise");
  if (otherwise != "keep" && otherwise != "refuse") entry.child("otherwise").fail("'keep' or 'refuse' is expected");
  step.keep_otherwise = otherwise == "keep";
  read_table(entry, step);
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

void read_two_step(const Params& rule, Spec& spec) {
  TwoStepOpening opening;
  opening.first = find_command(spec, rule, rule.text("first"));
  opening.second = find_command(spec, rule, rule.text("second"));
  opening.sync_read = find_command(spec, rule, rule.text("sync_read"));
  opening.sync_write = find_command(spec, rule, rule.text("sync_write"));
  opening.looks_for_row_zero = rule.boolean("looks_for_row_zero", false);
  opening.in_step.assign(spec.commands.size(), 0);
  const Params in_step = rule.child("in_step_for");
  for (const auto& name : in_step.keys()) opening.in_step[static_cast<std::size_t>(find_command(spec, in_step, name))] = in_step.integer(name);
  spec.two_step = opening;
}

// What a name means; a complaint gets the place of the name.
template <class Find>
auto named(const Params& name, Find find) {
  try {
    return find(name.as_text());
  } catch (const ConfigError& error) {
    name.fail(error.what());
  }
}

void read_rules(const Params& behaviour, Spec& spec) {
  const auto levels = static_cast<std::size_t>(spec.bank_level) + 1;
  spec.prerequisites.assign(levels, std::vector<Prerequisite>(spec.commands.size(), Prerequisite::none));
  spec.actions.assign(levels, std::vector<Action>(spec.commands.size(), Action::none));
  const auto each = [&](const char* section, auto set) {
    const Params rules = behaviour.child(section);
    for (const auto& level : rules.keys()) {
      const Params commands = rules.child(level);
      for (const auto& name : commands.keys()) {
        set(static_cast<std::size_t>(find_level(spec, commands, level)), static_cast<std::size_t>(find_command(spec, commands, name)),
            commands.child(name));
      }
    }
  };
  each("prerequisites", [&](auto level, auto command, const Params& rule) { spec.prerequisites[level][command] = named(rule, prerequisite_from_name); });
  each("actions", [&](auto level, auto command, const Params& rule) { spec.actions[level][command] = named(rule, action_from_name); });
  spec.counts_row_state.assign(spec.commands.size(), false);
  for (const int command : find_commands(spec, behaviour.child("row_state"))) spec.counts_row_state[static_cast<std::size_t>(command)] = true;
  if (const auto broadcast = behaviour.optional_child("broadcast")) {
    spec.broadcast_open = find_command(spec, *broadcast, broadcast->text("open"));
    spec.broadcast_close = find_command(spec, *broadcast, broadcast->text("close"));
  }
  spec.open_one = spec.command("ACT");
  spec.close_one = spec.command("PRE");
  spec.close_many = spec.command("PREA");
  spec.close_same = spec.command("PREsb");
  if (const auto two_step = behaviour.optional_child("two_step_opening")) read_two_step(*two_step, spec);
}

void read_refresh(const Params& behaviour, Standard& standard) {
  Spec& spec = standard.skeleton;
  if (const auto delayed = behaviour.optional_child("delayed")) {
    for (const auto& name : delayed->keys()) {
      const Params entry = delayed->child(name);
      auto& command = spec.commands[static_cast<std::size_t>(find_command(spec, entry, name))];
      command.apply_later = find_command(spec, entry, entry.text("apply"));
      standard.delayed_after[name] = entry.text("after");
    }
  }
  if (const auto refresh = behaviour.optional_child("refresh")) {
    RefreshRule rule;
    rule.request = spec.request(refresh->text("request"));
    if (rule.request < 0) refresh->fail("request '" + refresh->text("request") + "' is unknown");
    rule.level = spec.level(refresh->text("level"));
    standard.refresh_interval = refresh->text("interval");
    spec.refresh = rule;
  }
}

std::map<std::string, Standard::Figures> read_figures(const Params& presets) {
  std::map<std::string, Standard::Figures> out;
  for (const auto& name : presets.keys()) {
    for (const auto& key : presets.child(name).keys()) out[name][key] = presets.child(name).number(key);
  }
  return out;
}

std::map<std::string, Standard::Setting> read_settings(const Params& map) {
  std::map<std::string, Standard::Setting> settings;
  for (const auto& name : map.keys()) {
    const Params entry = map.child(name);
    Standard::Setting setting;
    setting.group = entry.text("group", "");
    setting.is_flag = entry.boolean("flag", false);
    setting.otherwise = entry.number("default");
    if (entry.has("at_least")) setting.at_least = entry.number("at_least");
    settings[name] = setting;
  }
  return settings;
}

std::vector<Standard::PowerTerm> read_terms(const Params& map) {
  std::vector<Standard::PowerTerm> terms;
  for (const auto& name : map.keys()) terms.push_back({name, map.child(name).text("power"), map.child(name).text("cycles")});
  return terms;
}

}  // namespace

Standard read_standard(const Params& file) {
  Standard standard;
  Spec& spec = standard.skeleton;
  read_names(file, spec);
  const Params organization = file.child("organization");
  standard.organization_where = organization.where();
  spec.prefetch = static_cast<int>(organization.integer("prefetch"));
  spec.channel_width_bits = static_cast<int>(organization.integer("channel_width_bits"));
  standard.density_factors = organization.child("density_factors").as_texts();
  standard.organization_presets = read_presets(organization.child("presets"));
  if (const auto settings = file.optional_child("settings")) standard.settings = read_settings(*settings);
  const Params timing = file.child("timing");
  standard.timing_parameters = timing.child("parameters").as_texts();
  standard.timing_presets = read_presets(timing.child("presets"));
  standard.rounding = named(timing.child("rounding"), rounding_from_name);
  standard.read_latency = timing.text("read_latency");
  for (const auto& entry : timing.list("derived")) standard.derived.push_back(read_derived(entry));
  for (const auto& entry : timing.list("constraints")) standard.constraints.push_back(read_constraint(spec, entry));
  const Params behaviour = file.child("behaviour");
  read_rules(behaviour, spec);
  read_refresh(behaviour, standard);
  if (const auto power = file.optional_child("power")) {
    standard.voltage_presets = read_figures(power->child("voltage"));
    standard.current_presets = read_figures(power->child("current_ma"));
    standard.power_background = read_terms(power->child("background"));
    standard.power_commands = read_terms(power->child("commands"));
    if (const auto statistics = power->optional_child("cycle_statistics")) {
      for (const auto& name : statistics->keys()) {
        const Params entry = statistics->child(name);
        standard.cycle_statistics.push_back({name, entry.text("counter"), entry.text("cycles")});
        spec.cycle_statistics.push_back(name);
      }
    }
  }
  if (const auto unread = file.unread(); !unread.empty()) unread.front().fail("key '" + unread.front().key() + "' is unknown in a standard");
  return standard;
}

}  // namespace moeram
