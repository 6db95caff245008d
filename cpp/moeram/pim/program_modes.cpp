#include "moeram/pim/program_modes.h"

#include <algorithm>

#include "moeram/base/text.h"

namespace moeram {

int ModeRules::find(const Params& at, const std::string& name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) at.fail("mode '" + name + "' is unknown" + did_you_mean(name, names));
  return static_cast<int>(found - names.begin());
}

ModeRules read_mode_rules(const Params& section, const std::vector<std::string>& operations) {
  ModeRules rules;
  rules.names = section.child("names").as_texts();
  if (rules.names.empty()) section.child("names").fail("at least one mode is expected");
  for (const auto& entry : section.list("changes")) {
    ModeRules::Change change;
    change.from = rules.find(entry.child("from"), entry.text("from"));
    change.to = rules.find(entry.child("to"), entry.text("to"));
    for (const auto& item : entry.list("by")) {
      if (std::find(operations.begin(), operations.end(), item.as_text()) == operations.end()) {
        item.fail("operation '" + item.as_text() + "' is unknown" + did_you_mean(item.as_text(), operations));
      }
      change.by.insert(item.as_text());
    }
    if (change.by.empty()) entry.fail("operations are expected under 'by'");
    change.word = entry.text("word", "");
    change.row = entry.integer("row", -1);
    change.column = entry.integer("column", -1);
    for (const auto& item : entry.list("banks")) change.banks.push_back(item.as_integer());
    rules.changes.push_back(std::move(change));
  }
  return rules;
}

void ProgramMode::access(std::size_t line, const std::string& operation, std::int64_t bank, std::int64_t row, std::int64_t column, const std::string& text) {
  for (std::size_t i = 0; i < rules_.changes.size(); ++i) {
    const auto& change = rules_.changes[i];
    if (change.from != now_ || !change.by.contains(operation)) continue;
    if ((change.row >= 0 && row != change.row) || (change.column >= 0 && column != change.column)) continue;
    if (!change.word.empty() && (" " + text + " ").find(" " + change.word + " ") == std::string::npos) continue;
    if (!change.banks.empty() && std::find(change.banks.begin(), change.banks.end(), bank) == change.banks.end()) continue;
    seen_[i].insert(bank);
    if (!change.banks.empty() && seen_[i].size() < change.banks.size()) continue;
    now_ = change.to;
    since_ = line;
    for (auto& banks : seen_) banks.clear();
    return;
  }
}

}  // namespace moeram
