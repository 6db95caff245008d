// Lines "OPERATION ADDRESS" whose operations a standard names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/frontend/request_source.h"
#include "moeram/mapping/address_mapper.h"

namespace moeram {

class OperationTrace : public RequestSource {
 public:
  // `instructions`: that section of the standard's file. Throws ConfigError, or TraceError naming file, line and rule.
  OperationTrace(const std::string& path, const Params& instructions, const Spec& spec, const AddressMapper& mapper);
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
