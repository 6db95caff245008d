#include "moeram/plugin/row_state_per_command.h"

namespace moeram {

RowStatePerCommand::RowStatePerCommand(const Spec& spec, int cores) : spec_(spec), cores_(static_cast<std::size_t>(cores)) {}

void RowStatePerCommand::on_command(Cycle, int command, const Request& request) {
  if (request.has_row || (request.kind != kRead && request.kind != kWrite)) return;
  const Command& facts = spec_.commands[static_cast<std::size_t>(command)];
  const auto count = [&](Counts& counts) {
    if (facts.accessing) ++counts.hits;
    if (facts.opening) ++counts.misses;
    if (facts.closing) ++counts.conflicts;
  };
  count(all_);
  if (request.source >= 0) count(cores_.at(static_cast<std::size_t>(request.source)));
}

void RowStatePerCommand::describe(Component& out) const {
  out.add("controller_num_row_hits", all_.hits);
  out.add("controller_num_row_misses", all_.misses);
  out.add("controller_num_row_conflicts", all_.conflicts);
  for (std::size_t core = 0; core < cores_.size(); ++core) {
    const std::string suffix = "_" + std::to_string(core);
    out.add("controller_core_row_hits" + suffix, cores_[core].hits);
    out.add("controller_core_row_misses" + suffix, cores_[core].misses);
    out.add("controller_core_row_conflicts" + suffix, cores_[core].conflicts);
  }
}

}  // namespace moeram
