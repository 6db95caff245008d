#include "moeram/dram/rules.h"

#include <utility>

#include "moeram/base/errors.h"
#include "moeram/base/text.h"

namespace moeram {
namespace {

template <class Rule>
Rule find(const std::string& name, const char* kind, const std::vector<std::pair<std::string, Rule>>& table) {
  std::vector<std::string> names;
  for (const auto& [known, rule] : table) {
    if (known == name) return rule;
    names.push_back(known);
  }
  throw ConfigError(std::string(kind) + " rule '" + name + "' is unknown" + did_you_mean(name, names));
}

}  // namespace

Prerequisite prerequisite_from_name(const std::string& name) {
  return find<Prerequisite>(name, "prerequisite",
                            {{"row_open", Prerequisite::row_open},
                             {"bank_closed", Prerequisite::bank_closed},
                             {"bank_closed_strict", Prerequisite::bank_closed_strict},
                             {"two_step_open", Prerequisite::two_step_open},
                             {"all_banks_closed", Prerequisite::all_banks_closed},
                             {"all_banks_closed_strict", Prerequisite::all_banks_closed_strict},
                             {"same_banks_closed", Prerequisite::same_banks_closed},
                             {"two_step_read", Prerequisite::two_step_read},
                             {"row_open_in_span", Prerequisite::row_open_in_span},
                             {"row_open_in_span_first", Prerequisite::row_open_in_span_first},
                             {"row_open_in_span_lazy", Prerequisite::row_open_in_span_lazy},
                             {"two_step_write", Prerequisite::two_step_write},
                             {"row_open_in_all_banks", Prerequisite::row_open_in_all_banks}});
}

Action action_from_name(const std::string& name) {
  return find<Action>(name, "action",
                      {{"open_row", Action::open_row},
                       {"open_row_in_all_banks", Action::open_row_in_all_banks},
                       {"close_bank", Action::close_bank},
                       {"close_all_banks", Action::close_all_banks},
                       {"open_row_in_span", Action::open_row_in_span},
                       {"close_span", Action::close_span},
                       {"close_same_banks", Action::close_same_banks},
                       {"half_open", Action::half_open},
                       {"finish_opening", Action::finish_opening},
                       {"keep_in_step", Action::keep_in_step},
                       {"extend_in_step", Action::extend_in_step},
                       {"bank_refreshing", Action::bank_refreshing},
                       {"same_banks_refreshing", Action::same_banks_refreshing},
                       {"all_banks_refreshing", Action::all_banks_refreshing},
                       {"bank_refresh_done", Action::bank_refresh_done},
                       {"same_banks_refresh_done", Action::same_banks_refresh_done},
                       {"all_banks_refresh_done", Action::all_banks_refresh_done}});
}

}  // namespace moeram
