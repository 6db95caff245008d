// Names, commands and behaviour of a standard's file.
#include <algorithm>
#include <cmath>

#include "moeram/base/text.h"
#include "moeram/dram/standard_read.h"

namespace moeram {

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

namespace {

// Where a command starts and how long it takes its bus, which may be half a cycle.
void read_bus(const Params& entry, Spec& spec, Command& command) {
  if (entry.has("bus")) {
    const std::string bus = entry.text("bus");
    const auto found = std::find(spec.buses.begin(), spec.buses.end(), bus);
    if (found == spec.buses.end() && bus != "none") entry.child("bus").fail("bus '" + bus + "' is unknown" + did_you_mean(bus, spec.buses));
    command.bus = bus == "none" ? -1 : static_cast<int>(found - spec.buses.begin());
  }
  const double ticks = entry.number("bus_cycles", 1.0 / spec.ticks_per_cycle) * spec.ticks_per_cycle;
  if (ticks < 1 || ticks != std::floor(ticks)) entry.child("bus_cycles").fail("must be whole ticks, at least one");
  command.bus_ticks = static_cast<Cycle>(ticks);
  command.whole_cycle = entry.boolean("whole_cycle", false) && spec.ticks_per_cycle > 1;
}

std::uint32_t read_levels(const Spec& spec, const Params& command, const std::string& key) {
  std::uint32_t span = 0;
  if (const auto levels = command.optional_child(key)) {
    for (const auto& item : levels->as_list()) {
      const int level = find_level(spec, item, item.as_text());
      if (level < 1 || level > spec.bank_level) item.fail("a span has levels below the channel, down to the bank");
      span |= 1U << level;
    }
  }
  return span;
}

// Banks in lock step.
void read_span(const Params& entry, const Spec& spec, Command& command) {
  command.span = read_levels(spec, entry, "spans");
  command.repeat_span = read_levels(spec, entry, "repeats_bank_rows_in");
  command.repeat_shifted = entry.boolean("repeats_shifted", false);
  if (entry.has("opens_with")) command.opens_with = find_command(spec, entry.child("opens_with"), entry.text("opens_with"));
  if (entry.has("closes_with")) command.closes_with = find_command(spec, entry.child("closes_with"), entry.text("closes_with"));
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
  spec.ticks_per_cycle = static_cast<int>(file.integer("ticks_per_cycle", 1));
  if (spec.ticks_per_cycle < 1 || spec.ticks_per_cycle > 16) file.child("ticks_per_cycle").fail("must lie between 1 and 16");
  if (const auto buses = file.optional_child("buses")) spec.buses = buses->as_texts();
  if (spec.buses.empty() || spec.buses.size() > 4) file.child("buses").fail("1 to 4 buses are expected");
  const Params commands = file.child("commands");
  for (const auto& name : commands.keys()) {
    const Params entry = commands.child(name);
    Command command;
    command.name = name;
    command.scope = find_level(spec, entry, entry.text("scope", spec.levels.back()));
    read_bus(entry, spec, command);
    command.opening = entry.boolean("opening", false);
    command.closing = entry.boolean("closing", false);
    command.accessing = entry.boolean("accessing", false);
    command.refreshing = entry.boolean("refreshing", false);
    spec.commands.push_back(command);
  }
  for (const auto& name : commands.keys()) read_span(commands.child(name), spec, spec.commands[static_cast<std::size_t>(spec.command(name))]);
  const Params requests = file.child("requests");
  for (const auto& name : requests.keys()) {
    spec.requests.push_back({name, find_command(spec, requests.child(name), requests.text(name))});
  }
  if (spec.requests.size() < 2) requests.fail("at least two requests are expected, reading and writing");
}

void read_two_step(const Params& rule, Standard& standard) {
  Spec& spec = standard.skeleton;
  TwoStepOpening opening;
  opening.first = find_command(spec, rule, rule.text("first"));
  opening.second = find_command(spec, rule, rule.text("second"));
  opening.sync_read = find_command(spec, rule, rule.text("sync_read"));
  opening.sync_write = find_command(spec, rule, rule.text("sync_write"));
  opening.looks_for_row_zero = rule.boolean("looks_for_row_zero", false);
  opening.in_step.assign(spec.commands.size(), 0);
  const Params in_step = rule.child("in_step_for");
  for (const auto& name : in_step.keys()) {
    find_command(spec, in_step.child(name), name);
    standard.in_step_for[name] = in_step.text(name);
  }
  standard.opening_deadline = rule.text("deadline", "");
  spec.two_step = opening;
}

// A rule whose answer is a command that this standard lacks would be found only when it is needed.
void refuse_missing_answers(const Params& behaviour, const Spec& spec) {
  const auto need = [&](bool used, int command, const char* what) {
    if (used && command < 0) behaviour.fail(std::string("a prerequisite answers with the command that ") + what + "; name it under 'answers'");
  };
  for (const auto& level : spec.prerequisites) {
    for (const Prerequisite rule : level) {
      need(rule == Prerequisite::row_open, spec.open_one, "opens a row");
      need(rule == Prerequisite::row_open || rule == Prerequisite::bank_closed || rule == Prerequisite::bank_closed_strict, spec.close_one, "closes a bank");
      need(rule == Prerequisite::all_banks_closed || rule == Prerequisite::all_banks_closed_strict, spec.close_many, "closes all banks");
      need(rule == Prerequisite::same_banks_closed, spec.close_same, "closes the same bank of every group");
      need((rule == Prerequisite::two_step_read || rule == Prerequisite::two_step_write || rule == Prerequisite::two_step_open) && !spec.two_step, -1,
           "opens in two steps (two_step_opening)");
      need(rule == Prerequisite::row_open_in_all_banks && (spec.broadcast_open < 0 || spec.broadcast_close < 0), -1, "opens all banks (broadcast)");
    }
  }
}

void read_rules(const Params& behaviour, Standard& standard) {
  Spec& spec = standard.skeleton;
  const auto levels = static_cast<std::size_t>(spec.bank_level) + 1;
  spec.prerequisites.assign(levels, std::vector<Prerequisite>(spec.commands.size(), Prerequisite::none));
  spec.actions.assign(levels, std::vector<Action>(spec.commands.size(), Action::none));
  const auto each = [&](const char* section, auto set) {
    const Params rules = behaviour.child(section);
    for (const auto& level : rules.keys()) {
      const Params commands = rules.child(level);
      for (const auto& name : commands.keys()) {
        const int index = find_level(spec, commands, level);
        if (index > spec.bank_level) commands.fail("rows and columns carry no state; rules stand at channel to bank");
        set(static_cast<std::size_t>(index), static_cast<std::size_t>(find_command(spec, commands.child(name), name)), commands.child(name));
      }
    }
  };
  each("prerequisites", [&](auto level, auto command, const Params& rule) { spec.prerequisites[level][command] = named(rule, prerequisite_from_name); });
  for (std::size_t command = 0; command < spec.commands.size(); ++command) {
    const Prerequisite rule = spec.prerequisites.back()[command];
    const bool in_span = rule == Prerequisite::row_open_in_span || rule == Prerequisite::row_open_in_span_first || rule == Prerequisite::row_open_in_span_lazy;
    if (in_span && (spec.commands[command].opens_with < 0 || spec.commands[command].closes_with < 0)) {
      behaviour.child("prerequisites").fail(spec.commands[command].name + " needs rows open in its span, so it must say opens_with and closes_with");
    }
  }
  each("actions", [&](auto level, auto command, const Params& rule) { spec.actions[level][command] = named(rule, action_from_name); });
  spec.counts_row_state.assign(spec.commands.size(), false);
  for (const int command : find_commands(spec, behaviour.child("row_state"))) spec.counts_row_state[static_cast<std::size_t>(command)] = true;
  if (const auto broadcast = behaviour.optional_child("broadcast")) {
    spec.broadcast_open = find_command(spec, *broadcast, broadcast->text("open"));
    spec.broadcast_close = find_command(spec, *broadcast, broadcast->text("close"));
  }
  spec.rows_accumulate = behaviour.boolean("rows_accumulate", false);
  // What the row and bank rules answer; left out: the names of Ramulator 2.0.
  const auto answers = behaviour.optional_child("answers");
  const auto answer = [&](const char* key, const char* otherwise) {
    return answers && answers->has(key) ? find_command(spec, answers->child(key), answers->text(key)) : spec.command(otherwise);
  };
  spec.open_one = answer("open", "ACT");
  spec.close_one = answer("close", "PRE");
  spec.close_many = answer("close_all", "PREA");
  spec.close_same = answer("close_same", "PREsb");
  if (const auto two_step = behaviour.optional_child("two_step_opening")) read_two_step(*two_step, standard);
  refuse_missing_answers(behaviour, spec);
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
    const std::string level = refresh->text("level");
    // Ramulator 2.0's HBM names a level that it lacks, and therefore never refreshes.
    rule.level = level == "rank" ? spec.level(level) : find_level(spec, refresh->child("level"), level);
    standard.refresh_interval = refresh->text("interval");
    spec.refresh = rule;
  }
  if (const auto refresh = behaviour.optional_child("refresh_per_bank")) {
    RefreshRule rule;
    rule.request = spec.request(refresh->text("request"));
    if (rule.request < 0) refresh->child("request").fail("request '" + refresh->text("request") + "' is unknown");
    rule.level = find_level(spec, refresh->child("level"), refresh->text("level"));
    if (rule.level > spec.bank_level) refresh->child("level").fail("rows and columns are not refreshed by themselves");
    standard.refresh_per_bank_interval = refresh->text("interval");
    spec.refresh_per_bank = rule;
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

// Of faults the names, of later rooms' sections what they will read.
void read_sections(const Params& file, Standard& standard) {
  file.text("extends", "");  // both were followed when the file was put together
  file.boolean("corrected", false);
  for (const char* name : {"controller", "instructions", "programs", "unit"}) {
    if (const auto section = file.optional_child(name)) standard.sections.emplace(name, *section);
  }
  const auto faults = file.optional_child("faults");
  for (const auto& name : faults ? faults->keys() : std::vector<std::string>{}) {
    const Params fault = faults->child(name);
    standard.faults.push_back({name, fault.text("says"), fault.boolean("present", true)});
  }
}

}  // namespace

void read_behaviour(const Params& behaviour, Standard& standard) {
  read_rules(behaviour, standard);
  read_refresh(behaviour, standard);
}

Standard read_standard(const Params& file) {
  Standard standard;
  Spec& spec = standard.skeleton;
  read_names(file, spec);
  read_organization(file.child("organization"), standard);
  if (const auto settings = file.optional_child("settings")) standard.settings = read_settings(*settings);
  read_timing(file.child("timing"), standard);
  read_behaviour(file.child("behaviour"), standard);
  if (const auto energy = file.optional_child("energy")) read_energy(*energy, standard);
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
  read_sections(file, standard);
  for (const auto& value : file.unread()) {
    const std::string top = value.path().substr(0, value.path().find('.'));
    if (standard.sections.contains(top) || top == "faults") continue;
    value.fail("key '" + value.key() + "' is unknown in a standard" + did_you_mean(value.key(), value.asked_beside()));
  }
  return standard;
}

}  // namespace moeram
