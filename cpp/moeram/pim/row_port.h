// The way to whole rows of all banks of a channel: requests go through the channel's controller one after the other.
#pragma once

#include "moeram/controller/controller.h"

namespace moeram {

class RowPort : public CompletionSink {
 public:
  // `spec` must outlive the port; it needs the requests row-read-all-banks and row-write-all-banks.
  RowPort(const Spec& spec, int channel, bool skip);

  // Let time pass before near-memory mode begins.
  void begin_at(Cycle cycle) { controller_.pass(cycle); }
  // Ask for a row not before a cycle; false: the controller has no place now.
  bool ask_row(std::int32_t row, Cycle not_before);
  // Let the controller work until something happened.
  void step();
  // Write a whole row once its data are ready; the cycle at which it is in its row buffer.
  Cycle write_row(std::int32_t row, Cycle data_ready);

  void on_final_command(Cycle now, const Request& request) override;

  Controller& controller() { return controller_; }
  const Controller& controller() const { return controller_; }

 protected:
  // A row that was asked for begins to stream. Two that wait may swap places if the later one is open already.
  virtual void on_row(Cycle now, std::int32_t row) = 0;
  const Spec& spec() const { return spec_; }

 private:
  bool send(int kind, std::int32_t row, Cycle not_before);

  const Spec& spec_;
  bool skip_;
  Controller controller_;
  int read_kind_;
  int write_kind_;
  Cycle written_at_ = -1;
};

}  // namespace moeram
