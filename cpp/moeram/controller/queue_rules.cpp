#include "moeram/controller/queue_rules.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/controller/request.h"
#include "moeram/dram/expression.h"

namespace moeram {
namespace {

int find_kind(const Spec& spec, const Params& at, const std::string& name) {
  const int kind = spec.request(name);
  if (kind >= 0) return kind;
  std::vector<std::string> names;
  for (const auto& known : spec.requests) names.push_back(known.name);
  at.fail("request '" + name + "' is unknown" + did_you_mean(name, names));
}

int find_command(const Spec& spec, const Params& at, const std::string& name) {
  const int command = spec.command(name);
  if (command >= 0) return command;
  std::vector<std::string> names;
  for (const auto& known : spec.commands) names.push_back(known.name);
  at.fail("command '" + name + "' is unknown" + did_you_mean(name, names));
}

template <class Choice>
Choice read_word(const Params& entry, const std::string& key, const std::string& otherwise, const std::map<std::string, Choice>& words) {
  const std::string word = entry.text(key, otherwise);
  if (const auto found = words.find(word); found != words.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, value] : words) names.push_back(name);
  entry.child(key).fail("'" + word + "' is unknown" + did_you_mean(word, names));
}

// Named request kinds as flags.
std::vector<char> kind_flags(const Spec& spec, const Params& section, const std::string& key) {
  std::vector<char> flags(spec.requests.size(), false);
  for (const auto& item : section.list(key)) flags[static_cast<std::size_t>(find_kind(spec, item, item.as_text()))] = true;
  return flags;
}

std::vector<char> command_flags(const Spec& spec, const Params& section, const std::string& key) {
  std::vector<char> flags(spec.commands.size(), false);
  for (const auto& item : section.list(key)) flags[static_cast<std::size_t>(find_command(spec, item, item.as_text()))] = true;
  return flags;
}

QueueRules::Queue read_queue(const Params& entry, const std::string& name) {
  using Rules = QueueRules;
  Rules::Queue queue;
  queue.name = name;
  queue.takes = read_word<Rules::Takes>(
      entry, "takes", "requests",
      {{"requests", Rules::Takes::requests}, {"opened_rows", Rules::Takes::opened_rows}, {"refreshes", Rules::Takes::refreshes}});
  queue.chooser = read_word<Rules::Chooser>(entry, "chooses", "first_ready", {{"first_ready", Rules::Chooser::first_ready}, {"head", Rules::Chooser::head}});
  queue.turn = read_word<Rules::Turn>(entry, "turn", "always",
                                      {{"always", Rules::Turn::always}, {"reading", Rules::Turn::when_reading}, {"writing", Rules::Turn::when_writing}});
  queue.capacity = static_cast<int>(entry.integer("capacity", 32));
  if (queue.capacity < 1 || queue.capacity > 1000000) entry.child("capacity").fail("must lie between 1 and 1000000");
  queue.blocks = entry.boolean("blocks", false);
  queue.keeps = entry.boolean("keeps_opened", false);
  return queue;
}

// Reads and writes are the host's, everything else the units'; what computes keeps its place, so that opened rows are the host's.
void find_sides(QueueRules& rules) {
  rules.side.assign(rules.queues.size(), std::nullopt);
  std::vector<bool> mixed(rules.queues.size(), false);
  for (std::size_t kind = 0; kind < rules.queue_of_kind.size(); ++kind) {
    if (rules.queue_of_kind[kind] < 0) continue;
    const auto queue = static_cast<std::size_t>(rules.queue_of_kind[kind]);
    const Side side = kind <= kWrite ? Side::host : Side::units;
    mixed[queue] = mixed[queue] || (rules.side[queue] && *rules.side[queue] != side);
    rules.side[queue] = side;
  }
  for (std::size_t queue = 0; queue < mixed.size(); ++queue) {
    if (mixed[queue]) rules.side[queue] = std::nullopt;
  }
  if (rules.opened >= 0) rules.side[static_cast<std::size_t>(rules.opened)] = Side::host;
}

void read_queues(const Params& queues, const Spec& spec, QueueRules& rules) {
  const auto names = queues.keys();
  rules.queue_of_kind.assign(spec.requests.size(), -1);
  for (const auto& name : names) {
    const Params entry = queues.child(name);
    const int number = static_cast<int>(rules.queues.size());
    rules.queues.push_back(read_queue(entry, name));
    auto& queue = rules.queues.back();
    if (queue.takes == QueueRules::Takes::opened_rows) rules.opened = number;
    if (queue.takes == QueueRules::Takes::refreshes) rules.refreshes = number;
    if (queue.turn == QueueRules::Turn::when_reading) rules.reading = number;
    if (queue.turn == QueueRules::Turn::when_writing) rules.writing = number;
    for (const auto& item : entry.list("requests")) {
      rules.queue_of_kind[static_cast<std::size_t>(find_kind(spec, item, item.as_text()))] = number;
    }
    for (const auto& item : entry.list("refused_while")) {
      const std::string other = item.as_text();
      const auto found = std::find(names.begin(), names.end(), other);
      if (found == names.end()) item.fail("queue '" + other + "' is unknown" + did_you_mean(other, names));
      queue.refused_while.push_back(static_cast<int>(found - names.begin()));
    }
  }
  find_sides(rules);
  if (rules.queues.empty()) queues.fail("at least one queue is expected");
  if ((rules.reading < 0) != (rules.writing < 0)) queues.fail("queues that take turns come as a pair, reading and writing");
  if (rules.refreshes < 0) queues.fail("one queue must take refreshes");
}

}  // namespace

std::string why_not_shared(const QueueRules& rules) {
  if (rules.guard_ignores_spans || rules.bus_passes_waiting_refresh || rules.keeps_by_last_choice) return "its faults are on (DRAM.faults: none)";
  for (std::size_t queue = 0; queue < rules.queues.size(); ++queue) {
    const std::string name = "queue '" + rules.queues[queue].name + "'";
    if (rules.queues[queue].takes != QueueRules::Takes::requests) continue;
    if (!rules.side[queue]) return name + " takes ordinary and computing requests";
    if (*rules.side[queue] == Side::units && !rules.queues[queue].keeps && rules.opened >= 0) return name + " computes and does not keep what it opened rows for";
  }
  return "";
}

namespace {

// Of every command that completes a request of a queue; fences and markers complete without one, refreshes are not waited for.
std::vector<bool> completing_commands(const Spec& spec, const QueueRules& rules) {
  std::vector<bool> completes(spec.commands.size(), false);
  for (std::size_t kind = 0; kind < spec.requests.size(); ++kind) {
    const auto command = static_cast<std::size_t>(spec.requests[kind].command);
    if (rules.queue_of_kind[kind] >= 0 && !rules.fence[kind] && !rules.marker[kind] && !spec.commands[command].refreshing) completes[command] = true;
  }
  return completes;
}

void read_latencies(const Params& latency, const Spec& spec, QueueRules& rules) {
  constexpr double kLongest = 1e6;  // what a controller waits at most without calling it a standstill
  const ExpressionContext context{[&](const std::string& name) {
                                    const auto found = spec.timing.find(name);
                                    if (found == spec.timing.end()) throw ConfigError("'" + name + "' is no timing parameter of " + spec.standard);
                                    return static_cast<double>(found->second);
                                  },
                                  spec.tck_ps};
  const std::vector<bool> completes = completing_commands(spec, rules);
  rules.latency.assign(spec.commands.size(), 0);
  for (const auto& name : latency.keys()) {
    const auto command = static_cast<std::size_t>(find_command(spec, latency.child(name), name));
    if (!completes[command]) latency.child(name).fail(name + " completes no request of a queue, so it has no latency");
    double cycles = 0;
    try {
      cycles = std::round(evaluate(latency.text(name), context));
    } catch (const ConfigError& error) {
      latency.child(name).fail(error.what());
    }
    if (!(cycles >= 0 && cycles <= kLongest)) latency.child(name).fail("'" + latency.text(name) + "' must come to 0 to " + std::to_string(static_cast<std::int64_t>(kLongest)) + " cycles");
    rules.latency[command] = static_cast<Cycle>(cycles);
  }
  for (std::size_t command = 0; command < completes.size(); ++command) {
    if (completes[command] && !latency.has(spec.commands[command].name)) {
      latency.fail(spec.commands[command].name + " is missing: cycles from this command to the completion of its request");
    }
  }
}

}  // namespace

QueueRules read_queue_rules(const Params& section, const Spec& spec) {
  QueueRules rules;
  if (spec.buses.size() > 2) section.child("queues").fail("a controller of queues serves one or two buses; " + spec.standard + " has " + std::to_string(spec.buses.size()));
  read_queues(section.child("queues"), spec, rules);
  rules.fence = kind_flags(spec, section, "fences");
  rules.marker = kind_flags(spec, section, "markers");
  rules.replies = kind_flags(spec, section, "replies");
  rules.hits = command_flags(spec, section, "row_hits");
  read_latencies(section.child("latency"), spec, rules);
  rules.in_mode.assign(spec.commands.size(), false);
  if (const auto mode = section.optional_child("mode")) {
    rules.mode_command = find_command(spec, *mode, mode->text("command"));
    rules.in_mode = command_flags(spec, *mode, "needed_by");
  }
  rules.forwards_any_write = section.boolean("forwards_any_write", false);
  rules.guard_ignores_spans = section.boolean("guard_ignores_spans", false);
  rules.bus_passes_waiting_refresh = section.boolean("bus_passes_waiting_refresh", false);
  rules.keeps_by_last_choice = section.boolean("keeps_by_last_choice", false);
  rules.marks_number_in_group = section.boolean("marks_number_in_group", false);
  if (const auto unread = section.unread(); !unread.empty()) {
    unread.front().fail("key '" + unread.front().key() + "' is unknown in a controller" + did_you_mean(unread.front().key(), unread.front().asked_beside()));
  }
  return rules;
}

}  // namespace moeram
