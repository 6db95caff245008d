// What hears of the commands of a controller. Listeners may not change anything.
#pragma once

#include <string>

#include "moeram/base/statistics.h"
#include "moeram/controller/request.h"

namespace moeram {

class CommandListener {
 public:
  virtual ~CommandListener() = default;
  // Before the command takes effect; `request` carries the address for which it is issued.
  virtual void on_command(Cycle now, int command, const Request& request) = 0;
  virtual void finish() {}
  // Statistics that are printed with the listener after finish().
  virtual void describe(Component&) const {}
  // Its statistics are the controller's own, not those of a plug-in.
  virtual bool is_part_of_controller() const { return false; }
  virtual std::string name() const = 0;
};

// What hears that a request's final command was issued; read data are complete at request.depart.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;
  virtual void on_final_command(Cycle now, const Request& request) = 0;
};

// What hears that the data of a read are there.
class ReadSink {
 public:
  virtual ~ReadSink() = default;
  virtual void on_read_done(const Request& request) = 0;
};

}  // namespace moeram
