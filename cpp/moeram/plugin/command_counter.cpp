#include "moeram/plugin/command_counter.h"

#include "moeram/base/errors.h"
#include "moeram/base/text.h"
#include "moeram/base/text_file.h"

namespace moeram {

CommandCounter::CommandCounter(const Spec& spec, const std::vector<std::string>& wanted, const std::string& path)
    : spec_(spec), wanted_(spec.commands.size(), false), counts_(spec.commands.size(), 0), path_(path) {
  std::vector<std::string> names;
  for (const auto& command : spec.commands) names.push_back(command.name);
  for (const auto& name : wanted) {
    const int command = spec.command(name);
    if (command < 0) throw ConfigError("CommandCounter: command '" + name + "' does not exist in " + spec.standard + did_you_mean(name, names));
    wanted_[static_cast<std::size_t>(command)] = true;
  }
}

void CommandCounter::on_command(Cycle, int command, const Request&) { ++counts_[static_cast<std::size_t>(command)]; }

void CommandCounter::finish() {
  std::string text;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (wanted_[i] || counts_[i] > 0) text += spec_.commands[i].name + ", " + std::to_string(counts_[i]) + "\n";
  }
  write_whole_file(path_, text);
}

}  // namespace moeram
