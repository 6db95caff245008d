// The shipped standards, which the build packs from configs/standards.
#pragma once

#include <span>
#include <string_view>

namespace moeram {

struct CompiledIn {
  std::string_view name;    // of the file, without .yaml
  std::string_view packed;  // see base/yaml_tree.h
};

std::span<const CompiledIn> compiled_in_standards();

}  // namespace moeram
