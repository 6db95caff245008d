#include "moeram/dram/command_energy.h"

#include "moeram/base/errors.h"
#include "moeram/dram/spec.h"

namespace moeram {

EnergyReport price_commands(const Spec& spec, const std::vector<std::int64_t>& issued, Cycle ticks) {
  if (!spec.energy) throw ConfigError(spec.standard + "@" + spec.edition + " has no energy figures");
  EnergyReport report;
  for (std::size_t command = 0; command < spec.commands.size(); ++command) {
    report.by_command_nj.push_back(static_cast<double>(issued[command]) * spec.energy->commands[command].pj / 1000);
    report.command_nj += report.by_command_nj.back();
  }
  const double time_ns = static_cast<double>(ticks) * spec.tick_ns();
  report.background_nj = spec.energy->background.pj * time_ns / 1000;
  if (time_ns > 0) report.average_mw = report.total_nj() * 1000 / time_ns;
  return report;
}

}  // namespace moeram
