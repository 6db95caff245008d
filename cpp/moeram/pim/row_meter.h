// Counts the rows that a channel's commands touch, those of all its banks (a broadcast touches one in each), and how long
// each row stays the present one, by latency class.
#pragma once

#include <vector>

#include "moeram/controller/listener.h"
#include "moeram/dram/device.h"

namespace moeram {

class RowMeter : public CommandListener {
 public:
  RowMeter(const Spec& spec, const Device& device);
  void on_command(Cycle now, int command, const Request& request) override;
  std::string name() const override { return "RowMeter"; }

  const std::vector<std::int64_t>& rows_read() const { return rows_read_; }
  const std::vector<std::int64_t>& rows_written() const { return rows_written_; }
  // The latency class of the row that was opened last, -1 before the first.
  int open_class() const { return open_class_; }
  // From each opening command to the next one, or to `end` for the last.
  std::vector<Cycle> class_time(Cycle end) const;

 private:
  const Spec& spec_;
  const Device& device_;
  int read_command_;
  int write_command_;
  std::vector<std::int64_t> rows_read_;
  std::vector<std::int64_t> rows_written_;
  std::vector<Cycle> class_time_;
  int open_class_ = -1;
  Cycle opened_at_ = 0;
};

}  // namespace moeram
