#include "moeram/pim/row_port.h"

#include "moeram/base/errors.h"

namespace moeram {
namespace {

ControllerOptions near_memory_controller() {
  ControllerOptions options;
  options.refresh = "None";  // the standard states no retention (U2)
  return options;
}

int kind_of(const Spec& spec, const char* name) {
  const int kind = spec.request(name);
  if (kind < 0) throw ConfigError(spec.standard + " cannot run in near-memory mode: it has no request '" + name + "'");
  return kind;
}

}  // namespace

RowPort::RowPort(const Spec& spec, int channel, bool skip)
    : spec_(spec),
      skip_(skip),
      controller_(spec, channel, near_memory_controller()),
      read_kind_(kind_of(spec, "row-read-all-banks")),
      write_kind_(kind_of(spec, "row-write-all-banks")) {
  controller_.set_sink(this);
}

bool RowPort::send(int kind, std::int32_t row, Cycle not_before) {
  Request request;
  request.kind = kind;
  request.address.fill(-1);
  request.address[0] = controller_.channel();
  request.address[static_cast<std::size_t>(spec_.row_level)] = row;
  request.not_before = not_before;
  return controller_.send(request);
}

bool RowPort::ask_row(std::int32_t row, Cycle not_before) { return send(read_kind_, row, not_before); }

void RowPort::step() {
  controller_.tick();
  if (!skip_) return;
  const Cycle next = controller_.next_event();
  if (next == kNever) throw EngineError("channel " + std::to_string(controller_.channel()) + " is stuck at cycle " + std::to_string(controller_.now()));
  controller_.pass(next - 1 - controller_.now());
}

Cycle RowPort::write_row(std::int32_t row, Cycle data_ready) {
  written_at_ = -1;
  if (!send(write_kind_, row, data_ready)) throw EngineError("row " + std::to_string(row) + " finds no place in the controller to be written");
  while (written_at_ < 0) step();
  return written_at_;
}

void RowPort::on_final_command(Cycle now, const Request& request) {
  if (request.kind == write_kind_) {
    written_at_ = now + spec_.timing.at("nROW");
  } else {
    on_row(now, request.address[static_cast<std::size_t>(spec_.row_level)]);
  }
}

}  // namespace moeram
