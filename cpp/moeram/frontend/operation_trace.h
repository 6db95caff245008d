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
  // [channel] the lowest of the channels that are sent the same at the same time, whenever that is accepted.
  std::vector<int> stand_ins() const;
  // From the start again.
  void rewind() {
    next_ = 0;
    find_next();
  }
  // From now on only what goes to such channels is sent.
  void send_only_to(const std::vector<int>& stand_ins);
  bool finished() const override { return next_ == entries_.size(); }
  Request next() const override;
  std::int64_t channels() const override { return stands_for_[static_cast<std::size_t>(entries_[next_].channel)]; }
  void advance() override {
    ++next_;
    find_next();
  }

 private:
  struct Entry {
    std::int64_t address;
    std::int32_t channel;
    std::int16_t kind;
    bool begins;  // a group: the same request to one channel after another
  };
  class Groups;
  // The next request to a channel that is sent anything, and where it goes.
  void find_next();
  const AddressMapper& mapper_;
  std::vector<Entry> entries_;
  std::vector<std::int64_t> stands_for_;  // [channel] 0: another channel stands for it
  std::size_t next_ = 0;
  Address address_{};                     // of the next one
};

}  // namespace moeram
