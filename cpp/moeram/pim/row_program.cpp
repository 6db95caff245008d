#include "moeram/pim/row_program.h"

#include "moeram/base/errors.h"
#include "moeram/pim/row_meter.h"
#include "moeram/pim/row_port.h"

namespace moeram {
namespace {

class OneRowAtATime : public RowPort {
 public:
  OneRowAtATime(const Spec& spec, bool skip) : RowPort(spec, 0, skip) {}

  // The cycle at which the row is in the buffer.
  Cycle read_row(std::int32_t row) {
    read_at_ = -1;
    if (!ask_row(row, 0)) throw EngineError("row " + std::to_string(row) + " finds no place in the controller to be read");
    while (read_at_ < 0) step();
    return read_at_;
  }

 private:
  void on_row(Cycle now, std::int32_t) override { read_at_ = now + spec().timing.at("nROW"); }
  Cycle read_at_ = -1;
};

}  // namespace

RowProgramResult run_rows(const Spec& spec, const std::vector<RowOperation>& program, bool skip) {
  const std::int64_t rows = spec.counts[static_cast<std::size_t>(spec.row_level)];
  for (std::size_t i = 0; i < program.size(); ++i) {
    if (program[i].row < 0 || program[i].row >= rows) {
      throw CapacityError("operation " + std::to_string(i) + " of a row program names row " + std::to_string(program[i].row) + "; a bank has " +
                          std::to_string(rows) + " rows");
    }
  }
  OneRowAtATime port(spec, skip);
  const auto meter = std::make_shared<RowMeter>(spec, port.controller().device());
  port.controller().add_listener(meter);
  RowProgramResult result;
  for (const auto& operation : program) {
    result.duration = operation.write ? port.write_row(operation.row, result.duration) : port.read_row(operation.row);
  }
  result.rows_read = meter->rows_read();
  result.rows_written = meter->rows_written();
  for (auto* counts : {&result.rows_read, &result.rows_written}) {
    for (auto& count : *counts) count /= spec.banks();
  }
  result.commands = port.controller().issued();
  return result;
}

}  // namespace moeram
