// Counts issued commands by name and writes "NAME, count" lines at the end.
#pragma once

#include <string>
#include <vector>

#include "moeram/controller/listener.h"

namespace moeram {

class CommandCounter : public CommandListener {
 public:
  // `wanted` must be commands of the standard (ConfigError); all others that occur are listed too, as 2.0 does.
  CommandCounter(const Spec& spec, const std::vector<std::string>& wanted, const std::string& path);
  void on_command(Cycle now, int command, const Request& request) override;
  void finish() override;
  std::string name() const override { return "CommandCounter"; }

 private:
  const Spec& spec_;
  std::vector<bool> wanted_;
  std::vector<std::int64_t> counts_;
  std::string path_;
};

}  // namespace moeram
