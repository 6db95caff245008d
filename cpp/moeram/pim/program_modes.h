// Modes that a channel is in as its program goes, and the accesses that change them.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "moeram/base/params.h"

namespace moeram {

struct ModeRules {
  struct Change {
    int from = 0, to = 0;
    std::set<std::string> by;          // operations of a trace
    std::string word;                  // in their text; empty: any
    std::int64_t row = -1, column = -1;  // -1: any
    std::vector<std::int64_t> banks;   // all of them, in any order; empty: any one
  };
  std::vector<std::string> names;  // a program begins and ends in the first
  std::vector<Change> changes;
  int find(const Params& at, const std::string& name) const;  // throws ConfigError
};

// `section`: instructions.modes; `operations`: words of the trace.
ModeRules read_mode_rules(const Params& section, const std::vector<std::string>& operations);

class ProgramMode {
 public:
  explicit ProgramMode(const ModeRules& rules) : rules_(rules), seen_(rules.changes.size()) {}
  int now() const { return now_; }
  std::size_t since() const { return since_; }  // the line that brought it; 0: the beginning
  // One column of an operation, in program order.
  void access(std::size_t line, const std::string& operation, std::int64_t bank, std::int64_t row, std::int64_t column, const std::string& text);

 private:
  const ModeRules& rules_;
  int now_ = 0;
  std::size_t since_ = 0;
  std::vector<std::set<std::int64_t>> seen_;  // [change] banks
};

}  // namespace moeram
