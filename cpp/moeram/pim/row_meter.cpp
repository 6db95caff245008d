#include "moeram/pim/row_meter.h"

namespace moeram {

RowMeter::RowMeter(const Spec& spec, const Device& device)
    : spec_(spec),
      device_(device),
      read_command_(spec.requests[static_cast<std::size_t>(spec.request("row-read-all-banks"))].command),
      write_command_(spec.requests[static_cast<std::size_t>(spec.request("row-write-all-banks"))].command),
      rows_read_(spec.classes.size(), 0),
      rows_written_(spec.classes.size(), 0),
      class_time_(spec.classes.size(), 0) {}

void RowMeter::on_command(Cycle now, int command, const Request& request) {
  const auto row_class = static_cast<std::size_t>(device_.class_of_row(request.address[static_cast<std::size_t>(spec_.row_level)]));
  if (command == read_command_) rows_read_[row_class] += spec_.banks();
  if (command == write_command_) rows_written_[row_class] += spec_.banks();
  if (!spec_.commands[static_cast<std::size_t>(command)].opening) return;
  if (open_class_ >= 0) class_time_[static_cast<std::size_t>(open_class_)] += now - opened_at_;
  open_class_ = static_cast<int>(row_class);
  opened_at_ = now;
}

std::vector<Cycle> RowMeter::class_time(Cycle end) const {
  auto time = class_time_;
  if (open_class_ >= 0) time[static_cast<std::size_t>(open_class_)] += end - opened_at_;
  return time;
}

}  // namespace moeram
