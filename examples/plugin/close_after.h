// A row policy: a bank is closed once it was read or written `accesses` times since it was opened.
#pragma once

#include <vector>

#include "moeram/plugin.h"

class CloseAfter : public moeram::plugin::Component {
 public:
  explicit CloseAfter(const moeram::plugin::Context& context);
  void on_command(std::int64_t cycle, int command, const moeram::plugin::Request& request) override;
  void finish() override;

 private:
  struct Bank {
    std::int32_t address[MOERAM_LEVELS] = {};
    std::int64_t accesses = 0;
  };
  bool covers(const moeram::plugin::Request& request, const Bank& bank) const;

  std::int64_t most_accesses_;
  int close_;
  std::vector<Bank> banks_;
  std::int64_t closed_ = 0;
};
