#include "moeram/system/stream_channel.h"

#include <algorithm>

#include "moeram/base/errors.h"

namespace moeram {
namespace {

// Classes of rows make rows differ; then only whole rows may be shifted.
int fixed_level(const StreamGeometry& geometry, const Controller& controller) {
  return geometry.spec.classes.size() > 1 ? geometry.spec.bank_level : std::max(controller.distinguished_level(), geometry.interleaved_level());
}

}  // namespace

StreamChannel::StreamChannel(const StreamGeometry& geometry, int channel, const ChannelProgram& program, const StreamOptions& options)
    : geometry_(geometry),
      program_(program),
      options_(options),
      controller_(geometry.spec, channel % geometry.spec.counts[0], options.controller),
      cursor_(program, geometry),
      frame_(geometry.spec, fixed_level(geometry, controller_)) {
  due_.address.fill(0);
  due_.address[0] = controller_.channel();
  if (!controller_.hasten_refresh(options.refresh_phase)) {
    if (options.refresh_phase > 0) throw ConfigError("refresh manager " + controller_.refresh().name() + " cannot start in the middle of its interval");
    options_.fold = false;
  }
  if (controller_.refresh().next_event() <= 0) {
    throw ConfigError("a refresh phase of " + std::to_string(options.refresh_phase) + " cycles is not below the interval of refresh manager " +
                      controller_.refresh().name());
  }
}

StreamChannelResult StreamChannel::run(const std::atomic<bool>* cancelled) {
  while ((!cursor_.finished() || !controller_.drained()) && (cancelled == nullptr || !*cancelled)) {
    offer();
    const bool refreshes = controller_.refresh().next_event() == controller_.now() + 1;
    controller_.tick();
    if (controller_.take_freed()) refused_ = false;
    if (options_.fold && refreshes) fold_refreshes();
    if (options_.fold && accepted_) fold_turns();
    if (options_.skip) skip();
  }
  const EnergyMeter* meter = controller_.device().meter();
  if (meter != nullptr && meter->odd() && controller_.total_cycles() > controller_.now()) {
    // An interval that 2.0 counts twice may reach back over what was taken as done.
    StreamOptions plainly = options_;
    plainly.fold = false;
    return StreamChannel(geometry_, controller_.channel(), program_, plainly).run(cancelled);
  }
  const Moment end = moment();
  return {end.time, cursor_.sent(kRead), cursor_.sent(kWrite), simulated_, end.counts, controller_.device().finish_energy(controller_.now())};
}

// At most one request a cycle; a refused one is offered again in every cycle, and counted.
void StreamChannel::offer() {
  accepted_ = false;
  if (cursor_.finished() || next_offer_ > controller_.now()) return;
  if (refused_) {
    controller_.refuse_again(due_, 1);
    return;
  }
  due_.kind = cursor_.kind();
  if (cursor_.block() != placed_block_) frame_.place(placed_block_ = cursor_.block(), due_.address);
  due_.address[static_cast<std::size_t>(geometry_.spec.column_level)] = static_cast<std::int32_t>(cursor_.column());
  accepted_ = controller_.send(due_);
  refused_ = !accepted_;
  if (refused_) return;
  cursor_.advance();
  ++simulated_;
  next_offer_ = controller_.now() + options_.interval;
}

void StreamChannel::skip() {
  const bool more = !cursor_.finished();
  if (more && !refused_ && !waits_for_time()) return;
  if (!more && controller_.drained()) return;
  Cycle next = controller_.next_event();
  if (waits_for_time()) next = std::min(next, next_offer_ + 1);
  if (next == kNever) throw EngineError("a stream waits for channel " + std::to_string(controller_.channel()) + ", in which nothing will happen");
  const Cycle quiet = next - 1 - controller_.now();
  if (quiet <= 0) return;
  if (more && refused_) controller_.refuse_again(due_, quiet);
  controller_.pass(quiet);
}

Moment StreamChannel::moment() const {
  std::vector<std::int64_t> counts = controller_.counts();
  return {controller_.total_cycles(), cursor_.sent(), counts.front(), std::move(counts)};
}

std::string StreamChannel::state(bool with_refresh) {
  frame_.stand_at(cursor_.block());
  std::vector<std::int64_t> out = controller_.canonical(frame_, with_refresh);
  out.push_back(frame_.fixed_part());
  out.push_back(controller_.device().class_of_row(static_cast<std::int32_t>(frame_.row_of(cursor_.block()))));
  out.push_back(std::max<Cycle>(next_offer_ - controller_.now(), 0));
  cursor_.canonical(frame_.blocks(), out);
  return pack(out);
}

bool StreamChannel::folds() const { return !cursor_.finished() && cursor_.turn() > 0 && controller_.in_one_class(frame_.row_of(cursor_.block())); }

// Between two refreshes.
void StreamChannel::fold_turns() {
  const int row_class = controller_.device().class_of_row(static_cast<std::int32_t>(cursor_.finished() ? 0 : frame_.row_of(cursor_.block())));
  if (epoch_ != cursor_.epoch() || row_class_ != row_class) {
    epoch_ = cursor_.epoch();
    row_class_ = row_class;
    turns_.forget_moments();
    refreshes_.forget_moments();
    turns_done_ = refreshes_done_ = false;
    tries_left_ = kTries;
  }
  if (turns_done_ || tries_left_ == 0 || !cursor_.at_turn() || !folds()) return;
  --tries_left_;
  const Moment now = moment();
  const Period* period = turns_.visit(state(false), now);
  if (period == nullptr) return;
  turns_done_ = true;
  const Cycle refresh = controller_.refresh().next_event();
  std::int64_t times = cursor_.repeats(period->requests);
  if (refresh != kNever) times = std::min(times, (refresh - controller_.now() - 1) / period->cycles);
  if (times <= 0) return;
  tries_left_ = kTries;
  controller_.hasten_refresh(times * period->cycles);
  jump(*period, times, now);
}

// From refresh to refresh.
void StreamChannel::fold_refreshes() {
  turns_.forget_moments();
  turns_done_ = false;
  if (refreshes_done_ || epoch_ != cursor_.epoch() || !folds()) return;
  const Moment now = moment();
  const Period* period = refreshes_.visit(state(true), now);
  if (period == nullptr) return;
  refreshes_done_ = true;
  if (const std::int64_t times = cursor_.repeats(period->requests); times > 0) jump(*period, times, now);
}

void StreamChannel::jump(const Period& period, std::int64_t times, const Moment& now) {
  controller_.take_as_done(period.counts, times, period.cycles, now.time - period.begin);
  cursor_.jump(period.requests, times);
  const std::int64_t rows = geometry_.spec.counts[static_cast<std::size_t>(geometry_.spec.row_level)];
  controller_.device().set_row_origin(static_cast<std::int32_t>((cursor_.shift() / geometry_.spec.banks()) % rows));
}

}  // namespace moeram
