// The next command on the way of a waiting request, and when it may be issued.
#pragma once

#include <algorithm>

#include "moeram/controller/request.h"
#include "moeram/dram/device.h"

namespace moeram {

struct Wish {
  Cycle ready = 0;   // not before
  int bank = -1;     // decides alone what comes next; -1: any bank may
  int command = -1;  // unknown: the state has to be looked at again
  int bus = 0;
  int stride = 1;    // of the ticks in which the command may start

  static Wish of(const Request& request, const Device& device) {
    return {0, request.bank >= 0 && device.only_wants_row(request.final_command) ? request.bank : -1, -1, 0, 1};
  }

  // The state of this bank changed, or of any if it is negative; true if that may change the wish.
  bool state_changed(int of_bank) {
    if (of_bank >= 0 && bank >= 0 && bank != of_bank) return false;
    ready = 0;
    command = -1;
    return true;
  }

  void look_at(const Request& request, const Device& device, Cycle now) {
    if (command < 0) {
      command = device.prerequisite(request.final_command, request.address, request.bank);
      bus = device.bus_of(command);
      stride = device.stride_of(command);
    }
    ready = device.ready_at(command, request.address, request.bank);
    if (command == request.final_command) ready = std::max(ready, request.not_before);
    if (stride > 1) ready = start_from(std::max(now, ready), stride);
  }
};

}  // namespace moeram
