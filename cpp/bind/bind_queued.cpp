#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "moeram/system/queued_run.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

py::dict dict_of(const QueuedRun::Named& values) {
  py::dict out;
  for (const auto& [name, value] : values) out[py::str(name)] = value;
  return out;
}

py::dict dict_of(const SideResult& side) {
  py::dict out;
  out["cycles"] = side.cycles;
  out["cycles_alone"] = side.cycles_alone;
  out["requests"] = side.requests;
  out["requests_alone"] = side.requests_alone;
  out["slowdown"] = side.slowdown();
  out["bytes"] = side.bytes;
  out["commands"] = side.commands;
  out["command_bus_share"] = side.command_bus_share;
  out["longest_wait"] = side.longest_wait;
  out["longest_wait_bound"] = side.bound == kNever ? py::object(py::none()) : py::int_(side.bound);
  return out;
}

// Of the channels that did anything.
py::dict run_queued(const std::string& path, const std::string& folder, const std::string& command_trace, bool strict, bool skip) {
  std::unique_ptr<QueuedRun> run;
  {
    const py::gil_scoped_release released;
    run = std::make_unique<QueuedRun>(Params::from_file(path), strict, folder);
    if (!command_trace.empty()) run->memory().record_commands(command_trace);
    run->run(skip);
  }
  py::dict counts, cycles;
  for (int channel = 0; channel < run->memory().spec().counts[0]; ++channel) {
    counts[py::int_(channel)] = dict_of(run->command_counts(run->memory().worker(channel)));
    cycles[py::int_(channel)] = dict_of(run->cycle_statistics(run->memory().worker(channel)));
  }
  py::dict out;
  out["memory_system_cycles"] = run->result().cycles;
  out["stats"] = dict_of(run->result().totals);
  out["simulated_channels"] = run->memory().simulated().size();
  out["command_counts_by_channel"] = counts;
  out["cycle_stats_by_channel"] = cycles;
  if (const auto& shared = run->shared()) {
    out["sharing"] = py::dict(py::arg("policy") = shared->policy, py::arg("host") = dict_of(shared->sides[0]), py::arg("units") = dict_of(shared->sides[1]));
  }
  out["text"] = run->statistics();
  out["warnings"] = run->warnings();
  return out;
}

py::object operand_of(const MicroOperand& operand) { return py::make_tuple(operand.name, operand.index); }

// Operation, operands (name, register) from the destination on, and whether it cuts at zero; None where the units do nothing.
py::object step_of(const MicroStep& step) {
  if (step.operation.empty()) return py::none();
  py::list operands;
  for (const auto& operand : step.operands) operands.append(operand_of(operand));
  return py::make_tuple(step.operation, operands, step.relu);
}

// One entry for each column command of a program, in its order.
py::list lowered_program(const std::string& path, const std::string& folder) {
  const QueuedRun run(Params::from_file(path), false, folder);
  py::list out;
  run.lower([&](const LoweredStep& step) {
    const Instruction& instruction = *step.instruction;
    const std::string& words = run.instructions().operations[static_cast<std::size_t>(instruction.operation)].words;
    out.append(py::make_tuple(instruction.line, step.channel, words, instruction.bank, instruction.row, step.column, run.trace().text_of(instruction), step_of(step.micro)));
  });
  return out;
}

// Reads a configuration and its trace and runs nothing; the warnings.
std::vector<std::string> check_program(const std::string& path, const std::string& folder) {
  const py::gil_scoped_release released;
  return QueuedRun(Params::from_file(path), false, folder).warnings();
}

// Arrays: cycles [turns + 1], and counts of commands until then, [turns + 1, commands].
py::dict run_turns(const std::string& path, const std::string& folder, std::int64_t most, bool fold) {
  QueuedRun run(Params::from_file(path), true, folder);
  Turns turns;
  {
    const py::gil_scoped_release released;
    turns = run.run_turns(most, fold);
  }
  const auto& commands = run.memory().spec().commands;
  const auto rows = static_cast<py::ssize_t>(turns.end.size());
  py::array_t<std::int64_t> end(rows, turns.end.data());
  py::array_t<std::int64_t> issued({rows, static_cast<py::ssize_t>(commands.size())}, turns.issued.data());
  py::list names;
  for (const auto& command : commands) names.append(command.name);
  py::dict out;
  out["end_cycles"] = end;
  out["issued"] = issued;
  out["commands"] = names;
  out["period_begin"] = turns.period_begin;
  out["period"] = turns.period;
  return out;
}

}  // namespace

void bind_queued(py::module_& module) {
  module.def("run_queued", &run_queued, py::arg("path"), py::kw_only(), py::arg("folder") = "", py::arg("command_trace") = "", py::arg("strict") = false,
             py::arg("skip") = true);
  module.def("lowered_program", &lowered_program, py::arg("path"), py::kw_only(), py::arg("folder") = "");
  module.def("check_program", &check_program, py::arg("path"), py::kw_only(), py::arg("folder") = "");
  module.def("run_turns", &run_turns, py::arg("path"), py::kw_only(), py::arg("folder") = "", py::arg("most"),
             py::arg("fold") = true);
}

}  // namespace moeram::bind
