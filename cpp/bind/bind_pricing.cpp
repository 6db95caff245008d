// What prices a step of serving: functions of arrays.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <span>

#include "bind.h"
#include "moeram/base/errors.h"
#include "moeram/pricing/exchange.h"
#include "moeram/pricing/prefix.h"
#include "moeram/pricing/task_graph.h"
#include "moeram/pricing/token_groups.h"

namespace moeram::bind {
namespace {

namespace py = pybind11;

constexpr int kPlain = py::array::c_style | py::array::forcecast;
using Longs = py::array_t<std::int64_t, kPlain>;
using Doubles = py::array_t<double, kPlain>;

template <typename T, int flags>
std::span<const T> values(const py::array_t<T, flags>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

template <typename T>
py::array_t<T> array_of(const std::vector<T>& found) {
  return py::array_t<T>(static_cast<py::ssize_t>(found.size()), found.data());
}

void require(bool fits, const char* what) {
  if (!fits) throw EngineError(what);
}

GroupsView groups_of(const Longs& begin, const Longs& tokens, const Longs& experts) {
  const GroupsView groups{values(begin), values(tokens), values(experts)};
  require(!groups.begin.empty() && groups.begin.back() == tokens.size() && tokens.size() == experts.size(), "groups that do not fit each other");
  return groups;
}

// Tokens ascend within a row: its last group has the most.
void require_known(const GroupsView& groups, const Doubles& table) {
  for (std::size_t row = 0; row < groups.rows(); ++row) {
    require(groups.first(row) == groups.end(row) || groups.tokens[groups.end(row) - 1] < table.size(), "a table of experts ends before their tokens");
  }
}

template <typename Number>
void count(const py::array_t<Number, py::array::c_style>& pool, const Longs& chosen, py::array_t<std::int64_t, py::array::c_style>& counts) {
  require(pool.ndim() == 2 && pool.shape(1) > 0, "count_lines: pool must be [lines, columns]");
  count_lines(values(pool), static_cast<std::size_t>(pool.shape(1)), values(chosen), {counts.mutable_data(), static_cast<std::size_t>(counts.size())});
}

template <typename Number>
void bind_count(py::module_& module) {
  module.def("count_lines", &count<Number>, py::arg("pool").noconvert(), py::arg("chosen"), py::arg("counts").noconvert());
}

py::tuple group(const Longs& tokens) {
  require(tokens.ndim() == 2, "group_tokens: tokens must be [rows, experts]");
  const TokenGroups groups = group_tokens(values(tokens), static_cast<std::size_t>(tokens.shape(1)));
  return py::make_tuple(array_of(groups.begin), array_of(groups.tokens), array_of(groups.experts), array_of(groups.total), groups.most);
}

// tables: of the GPU's memory and compute time, and the memory side's. rows: the GPU's memory and compute time, what is queued, transfers.
using Tables = std::array<Doubles, 3>;
using Rows = std::array<Doubles, 4>;

ExpertTables tables_of(const GroupsView& groups, const Tables& tables) {
  for (const Doubles& table : tables) require_known(groups, table);
  return {values(tables[0]), values(tables[1]), values(tables[2])};
}

RowTimes rows_of_decisions(const GroupsView& groups, const Rows& rows) {
  for (const Doubles& row : rows) require(static_cast<std::size_t>(row.size()) == groups.rows(), "times of decisions must be [rows]");
  return {values(rows[0]), values(rows[1]), values(rows[2]), values(rows[3])};
}

template <std::vector<std::int64_t> (*prefix)(const GroupsView&, const ExpertTables&, const RowTimes&)>
py::array_t<std::int64_t> prefix_by_rows(const Longs& begin, const Longs& tokens, const Longs& experts, const Tables& tables, const Rows& rows) {
  const GroupsView groups = groups_of(begin, tokens, experts);
  return array_of(prefix(groups, tables_of(groups, tables), rows_of_decisions(groups, rows)));
}

py::array_t<std::int64_t> many(const Longs& begin, const Longs& tokens, const Longs& experts, const Tables& tables) {
  const GroupsView groups = groups_of(begin, tokens, experts);
  return array_of(many_to_gpu(groups, tables_of(groups, tables)));
}

py::tuple sums(const Longs& begin, const Longs& tokens, const Longs& experts, const Longs& kept, const Doubles& gpu_memory, const Doubles& gpu_compute,
               const Doubles& group_ps) {
  const GroupsView groups = groups_of(begin, tokens, experts);
  for (const Doubles* table : {&gpu_memory, &gpu_compute}) require_known(groups, *table);
  require(kept.size() == tokens.size() && group_ps.size() == tokens.size(), "sum_rows: kept and group_ps must be [groups]");
  const RowSums found = sum_rows(groups, values(kept), values(gpu_memory), values(gpu_compute), values(group_ps));
  return py::make_tuple(array_of(found.gpu_memory), array_of(found.gpu_compute), array_of(found.memory));
}

py::tuple chains(const Longs& begin, const Longs& tokens, const Longs& experts, const Longs& kept, std::size_t copies) {
  const GroupsView groups = groups_of(begin, tokens, experts);
  require(kept.size() == tokens.size() && copies > 0, "chain_ends: kept must be [groups], copies above 0");
  std::vector<std::int64_t> lengths(copies, 0);
  const auto ends = chain_ends(groups, values(kept), lengths);
  return py::make_tuple(array_of(ends), array_of(lengths));
}

py::tuple each_kept(const Longs& tokens, const Longs& kept, const Doubles& kept_ps) {
  require(tokens.size() == kept.size() && kept.size() == kept_ps.size(), "kept_groups: arrays must be [groups]");
  const KeptGroups found = kept_groups(values(tokens), values(kept), values(kept_ps));
  return py::make_tuple(array_of(found.tokens), array_of(found.each_ps));
}

void learn_times(py::array_t<double, py::array::c_style>& table, const Longs& tokens, const Doubles& measured_ps, double weight) {
  require(tokens.size() == measured_ps.size(), "learn: tokens and times must be as many");
  for (const std::int64_t count : values(tokens)) require(count >= 0 && count < table.size(), "learn: the table ends before the tokens");
  learn({table.mutable_data(), static_cast<std::size_t>(table.size())}, values(tokens), values(measured_ps), weight);
}

py::tuple busy(const Doubles& base, const Doubles& load, const Doubles& gemm, const Doubles& attention, const Doubles& experts) {
  for (const Doubles* part : {&base, &load, &gemm, &attention, &experts}) {
    require(part->ndim() == 2 && part->shape(0) == base.shape(0) && part->shape(1) == base.shape(1), "busy_times: parts must be [rows, copies]");
  }
  require(base.shape(1) > 0, "busy_times: no copies");
  const BusyTimes times = busy_times({values(base), values(load), values(gemm), values(attention), values(experts)}, static_cast<std::size_t>(base.shape(1)));
  return py::make_tuple(array_of(times.gpu), array_of(times.memory), array_of(times.slower), array_of(times.fullest));
}

py::array_t<double> exchanges(const Doubles& received, const Doubles& crossing, const Doubles& farthest, double per_unit, double per_hop) {
  const auto nodes = static_cast<std::size_t>(farthest.shape(1));
  require(crossing.ndim() == 3 && static_cast<std::size_t>(crossing.shape(0)) == nodes && crossing.shape(1) == 2 && farthest.shape(0) == 2 &&
              static_cast<std::size_t>(received.size()) % nodes == 0,
          "even_exchanges: received [rows, nodes], crossing [nodes, 2, links], farthest [2, nodes]");
  const auto times = even_exchanges({values(crossing), values(farthest), nodes, static_cast<std::size_t>(crossing.shape(2))}, values(received), per_unit, per_hop);
  return py::array_t<double>({static_cast<py::ssize_t>(times.size() / 2), py::ssize_t{2}}, times.data());
}

py::tuple totals(const Longs& tokens) {
  require(tokens.ndim() >= 1, "row_totals: tokens must be [..., experts]");
  const auto experts = static_cast<std::size_t>(tokens.shape(tokens.ndim() - 1));
  const RowTotals found = row_totals(values(tokens), experts);
  const std::vector<py::ssize_t> shape(tokens.shape(), tokens.shape() + tokens.ndim() - 1);
  return py::make_tuple(py::array_t<double>(shape, found.tokens.data()), py::array_t<double>(shape, found.used.data()));
}

class Graph {
 public:
  explicit Graph(const std::vector<std::tuple<std::vector<std::size_t>, int, bool>>& tasks) {
    for (const auto& [after, resource, together] : tasks) {
      for (const std::size_t before : after) require(before < tasks_.size(), "a task after one that does not come before it");
      tasks_.push_back({after, resource, together});
      resources_ = std::max(resources_, static_cast<std::size_t>(resource + 1));
    }
  }

  py::tuple run(const Doubles& durations) const {
    const GraphTimes times = timed(durations);
    const auto shaped = [&](const std::vector<double>& found, std::size_t first) {
      return py::array_t<double>({static_cast<py::ssize_t>(first), durations.shape(1), durations.shape(2)}, found.data());
    };
    return py::make_tuple(shaped(times.end, tasks_.size()), shaped(times.busy, resources_));
  }

  py::array_t<double> rows(const Doubles& durations, const Doubles& more_busy, bool interleaved) const {
    const GraphTimes times = timed(durations);
    const auto rows = static_cast<std::size_t>(durations.shape(1)), copies = static_cast<std::size_t>(durations.shape(2));
    require(static_cast<std::size_t>(more_busy.size()) % std::max<std::size_t>(rows * copies, 1) == 0, "more_busy must be [lines, rows, copies]");
    return array_of(interleaved ? interleaved_rows(times, values(more_busy), rows, copies) : rows_of(times, rows, copies));
  }

 private:
  GraphTimes timed(const Doubles& durations) const {
    require(durations.ndim() == 3 && static_cast<std::size_t>(durations.shape(0)) == tasks_.size(), "durations must be [tasks, rows, copies]");
    return run_tasks(tasks_, resources_, values(durations), static_cast<std::size_t>(durations.shape(1)), static_cast<std::size_t>(durations.shape(2)));
  }

  std::vector<GraphTask> tasks_;
  std::size_t resources_ = 0;
};

}  // namespace

void bind_pricing(py::module_& module) {
  bind_count<std::uint16_t>(module);
  bind_count<std::uint32_t>(module);
  bind_count<std::uint8_t>(module);
  module.def("group_tokens", &group, py::arg("tokens"));
  module.def("greedy_prefix", &prefix_by_rows<greedy_prefix>);
  module.def("few_to_memory", &prefix_by_rows<few_to_memory>);
  module.def("many_to_gpu", &many);
  module.def("sum_rows", &sums);
  module.def("chain_ends", &chains);
  module.def("kept_groups", &each_kept);
  module.def("learn", &learn_times, py::arg("table").noconvert(), py::arg("tokens"), py::arg("measured_ps"), py::arg("weight"));
  module.def("busy_times", &busy);
  module.def("row_totals", &totals);
  module.def("even_exchanges", &exchanges);
  py::class_<Graph>(module, "TaskGraph")
      .def(py::init<const std::vector<std::tuple<std::vector<std::size_t>, int, bool>>&>())
      .def("run", &Graph::run)
      .def("rows", &Graph::rows);
}

}  // namespace moeram::bind
