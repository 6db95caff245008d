#include "moeram/pim/nmp_channel.h"

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

NmpChannel::NmpChannel(const Spec& spec, int channel, const NmpShape& shape, const NmpUnitOptions& options,
                       const std::vector<std::vector<RowPiece>>& layout, bool skip)
    : spec_(spec),
      options_(options),
      layout_(layout),
      skip_(skip),
      controller_(spec, channel, near_memory_controller()),
      unit_(shape, options, options.clock_ps / spec.tck_ps),
      read_kind_(kind_of(spec, "row-read-all-banks")),
      write_kind_(kind_of(spec, "row-write-all-banks")),
      latch_free_(static_cast<std::size_t>(options.row_latches), 0) {
  controller_.set_sink(this);
}

void NmpChannel::add_expert(const ExpertTask& task) { tasks_.push_back(task); }

// Keep as many rows under way as there are latches. A row may stream once the row that used its latch is consumed,
// which is known when that row has begun to stream.
void NmpChannel::top_up() {
  while (sent_ - streamed_ < options_.row_latches && next_task_ < tasks_.size()) {
    Request request;
    request.kind = read_kind_;
    request.address.fill(-1);
    request.address[0] = controller_.channel();
    request.address[static_cast<std::size_t>(spec_.row_level)] = tasks_[next_task_].first_row + static_cast<std::int32_t>(next_row_);
    request.not_before = latch_free_[static_cast<std::size_t>(sent_ % options_.row_latches)];
    if (!controller_.send(request)) return;
    ++sent_;
    if (++next_row_ == layout_.size()) {
      next_row_ = 0;
      ++next_task_;
    }
  }
}

void NmpChannel::step() {
  controller_.tick();
  if (!skip_) return;
  const Cycle next = controller_.next_event();
  if (next == kNever) throw EngineError("channel " + std::to_string(controller_.channel()) + " is stuck at cycle " + std::to_string(controller_.now()));
  controller_.pass(next - 1 - controller_.now());
}

void NmpChannel::run_expert(Cycle input_ready) {
  unit_.begin_expert(tasks_[running_task_].tokens, input_ready);
  for (const std::size_t end = running_task_ + 1; running_task_ < end;) {
    top_up();
    step();
  }
}

void NmpChannel::on_final_command(Cycle now, const Request& request) {
  if (request.kind == write_kind_) {
    written_at_ = now + spec_.timing.at("nROW");
    return;
  }
  const auto& pieces = layout_[running_row_];
  latch_free_[static_cast<std::size_t>(streamed_ % options_.row_latches)] = unit_.on_row(now, pieces);
  for (const auto& piece : pieces) mac_bytes_ += piece.bytes_over_all_banks * tasks_[running_task_].tokens;
  ++streamed_;
  if (++running_row_ == layout_.size()) {
    running_row_ = 0;
    ++running_task_;
  }
}

Cycle NmpChannel::write_rows(std::int32_t first_row, int rows, Cycle data_ready) {
  for (int i = 0; i < rows; ++i) {
    Request request;
    request.kind = write_kind_;
    request.address.fill(-1);
    request.address[0] = controller_.channel();
    request.address[static_cast<std::size_t>(spec_.row_level)] = first_row + i;
    request.not_before = data_ready;
    written_at_ = -1;
    if (!controller_.send(request)) throw EngineError("the result rows find no place in the controller");
    while (written_at_ < 0) step();
  }
  return written_at_;
}

}  // namespace moeram
