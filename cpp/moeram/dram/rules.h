// The named rules that a standard's data may give to its commands.
// A new kind of command needs a line here only if its prerequisite or effect is new.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moeram {

// Which command has to come first?
enum class Prerequisite : std::uint8_t {
  none,
  row_open,                 // bank: closed -> opening command; another row open -> closing command
  bank_closed,              // bank: open -> closing command
  bank_closed_strict,       // bank: not closed -> closing command
  all_banks_closed,         // first bank that is not closed decides: refreshing -> the command itself, open -> close all
  all_banks_closed_strict,  // any bank that is not closed -> close all
  same_banks_closed,        // the bank of that number in every group: open -> close them together
  two_step_read,            // as row_open with an opening in two commands and a clock that must be in step for reading
  two_step_write,           // the same for writing
  two_step_open,            // as two_step_read, whatever the clock does; half opened is as good as open for the first opening command
  row_open_in_span,         // banks of the command's span: all closed -> its opening command; not all on the row -> its closing command
  row_open_in_span_first,   // the same, but the first bank that is not on the row decides alone
  row_open_in_span_lazy,    // the same, but any bank on another row -> closing, else any closed -> opening
  row_open_in_all_banks,    // lock-step banks: all closed -> broadcast opening command; any other row open -> broadcast closing command
};

// What does a command do to the state of banks?
enum class Action : std::uint8_t {
  none,
  open_row,
  open_row_in_all_banks,
  close_bank,
  close_all_banks,
  open_row_in_span,
  close_span,
  close_same_banks,     // of a group: the bank of the addressed number
  half_open,            // first half of an opening in two commands
  finish_opening,       // second half: opens the row that the first half named
  keep_in_step,         // the data clock stays in step for a while
  extend_in_step,       // the same, but never shorter than before
  bank_refreshing,
  same_banks_refreshing,
  all_banks_refreshing,
  bank_refresh_done,
  same_banks_refresh_done,
  all_banks_refresh_done,
};

Prerequisite prerequisite_from_name(const std::string& name);  // throws ConfigError
Action action_from_name(const std::string& name);              // throws ConfigError

}  // namespace moeram
