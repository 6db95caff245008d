#include "close_after.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>

CloseAfter::CloseAfter(const moeram::plugin::Context& made_with)
    : Component(made_with), most_accesses_(context.integer("accesses", 16)), close_(context.request_kind("close-row")) {
  if (most_accesses_ < 1) throw std::runtime_error("accesses must be at least 1");
  if (close_ < 0) throw std::runtime_error(std::string(context.device().standard) + " has no request close-row");
  int banks = 1;
  for (int level = 1; level <= context.device().bank_level; ++level) banks *= context.device().level_sizes[level];
  banks_.resize(static_cast<std::size_t>(banks));
}

// Commands for many banks have -1 where they mean all nodes of a level.
bool CloseAfter::covers(const moeram::plugin::Request& request, const Bank& bank) const {
  for (int level = 0; level <= context.device().bank_level; ++level) {
    if (request.address[level] >= 0 && request.address[level] != bank.address[level]) return false;
  }
  return true;
}

void CloseAfter::on_command(std::int64_t, int command, const moeram::plugin::Request& request) {
  if (context.has(command, MOERAM_CLOSING | MOERAM_REFRESHING)) {
    for (Bank& bank : banks_) {
      if (covers(request, bank)) bank.accesses = 0;
    }
    return;
  }
  if (!context.has(command, MOERAM_ACCESSING) || request.bank < 0) return;
  Bank& bank = banks_[static_cast<std::size_t>(request.bank)];
  std::copy(std::begin(request.address), std::end(request.address), bank.address);
  if (++bank.accesses < most_accesses_) return;
  context.send_first(close_, request.address);
  bank.accesses = 0;
  ++closed_;
}

void CloseAfter::finish() { context.add("closed", closed_); }
