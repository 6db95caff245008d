// Front ends from Ramulator 2.0's configuration.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/frontend/frontend.h"

namespace moeram {

// What is read before the memory system is made; nothing is opened yet.
struct FrontEndPlan {
  std::string implementation;
  std::int64_t clock_ratio = 1;
  int cores = 1;
  bool has_cores = false;  // and a translation
  bool made_for_hosts = false;
  bool folds = false;
};

FrontEndPlan plan_frontend(const Params& config);

// Opens the traces. Relative paths count from `folder` ("": the working directory). Throws ConfigError or TraceError.
std::unique_ptr<FrontEnd> make_frontend(const FrontEndPlan& plan, const Params& config, const Spec& spec, const std::string& folder);

// Helpers for every reader of such configurations.
std::string implementation_of(const Params& parent, const std::string& interface, const std::vector<std::string>& allowed);
std::int64_t read_clock_ratio(const Params& node);
std::string in_folder(const std::string& folder, const std::string& path);

}  // namespace moeram
