// Lines "OPERATION ADDRESS" whose operations a standard names.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/frontend/request_source.h"
#include "moeram/frontend/unit_section.h"
#include "moeram/mapping/address_mapper.h"

namespace moeram {

class OperationTrace : public RequestSource {
 public:
  // `instructions`, `unit`: those sections of the standard's file; with checks_sizes, addresses are aligned and lie in the memory, and
  // entries in their buffers. Throws ConfigError, or TraceError naming file, line and rule.
  OperationTrace(const std::string& path, const Params& instructions, const std::optional<Params>& unit, const Spec& spec, const AddressMapper& mapper);
  bool finished() const override { return next_ == entries_.size(); }
  Request next() const override;
  void advance() override { ++next_; }

 private:
  struct Entry {
    std::int64_t address;
    std::int32_t kind;
  };
  const AddressMapper& mapper_;
  std::vector<Entry> entries_;
  std::size_t next_ = 0;
};

}  // namespace moeram
