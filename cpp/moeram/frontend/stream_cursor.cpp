#include "moeram/frontend/stream_cursor.h"

#include <algorithm>
#include <numeric>

namespace moeram {
namespace {
constexpr std::int64_t kLeastTurn = 32;  // requests: looking at a state costs about as much as serving ten
}

StreamCursor::StreamCursor(const ChannelProgram& program, const StreamGeometry& geometry)
    : program_(program), spec_(geometry.spec), span_(geometry.span()), interleaved_(geometry.interleaved()) {
  begin_group();
}

void StreamCursor::begin_group() {
  due_ = 0;
  if (next_group_ == program_.size()) return;
  for (const auto& parts : program_[next_group_++]) {
    lanes_.push_back({&parts});
    begin_part(lanes_.back());
  }
  begin_epoch();
}

void StreamCursor::begin_part(Lane& lane) {
  const ChannelStream& part = part_of(lane);
  lane.at = part.first % span_;
  lane.block = part.block + part.first / span_ * part.block_step;
  lane.left = part.count;
  lane.on = part.step % span_;
  lane.blocks_on = part.step / span_ * part.block_step;
}

void StreamCursor::begin_epoch() {
  ++epoch_;
  sent_in_epoch_ = 0;
  const ChannelStream& first = part_of(lanes_[0]);
  const bool in_step = std::all_of(lanes_.begin(), lanes_.end(), [&](const Lane& lane) {
    return part_of(lane).step == first.step && part_of(lane).block_step == first.block_step;
  });
  const std::int64_t turn = span_ / std::gcd(span_, first.step) * static_cast<std::int64_t>(lanes_.size());
  turn_ = in_step ? turn * ((kLeastTurn + turn - 1) / turn) : 0;
}

void StreamCursor::advance() {
  Lane& lane = lanes_[due_];
  ++sent_[static_cast<std::size_t>(part_of(lane).kind)];
  ++sent_in_epoch_;
  if (--lane.left > 0) {
    lane.at += lane.on;
    lane.block += lane.blocks_on;
    if (lane.at >= span_) {
      lane.at -= span_;
      lane.block += part_of(lane).block_step;
    }
    if (++due_ == lanes_.size()) due_ = 0;
    return;
  }
  if (++lane.part < lane.parts->size()) {
    begin_part(lane);
    due_ = (due_ + 1) % lanes_.size();
    begin_epoch();
    return;
  }
  lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(due_));
  if (lanes_.empty()) {
    begin_group();
    return;
  }
  due_ %= lanes_.size();
  begin_epoch();
}

void StreamCursor::canonical(std::int64_t blocks, std::vector<std::int64_t>& out) const {
  out.push_back(static_cast<std::int64_t>(lanes_.size()));
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[(due_ + i) % lanes_.size()];
    const ChannelStream& part = part_of(lane);
    const std::int64_t distance = (lane.block - lanes_[due_].block) % blocks;
    out.insert(out.end(), {part.kind, part.step, part.block_step, lane.at, distance < 0 ? distance + blocks : distance});
  }
}

std::int64_t StreamCursor::repeats(std::int64_t requests) const {
  const std::int64_t each = requests / static_cast<std::int64_t>(lanes_.size());
  const std::int64_t banks = spec_.banks();
  const std::int64_t rows = spec_.counts[static_cast<std::size_t>(spec_.row_level)];
  std::int64_t times = kNever;
  for (const Lane& lane : lanes_) {
    // The request offered after the last one must be of the part too.
    times = std::min(times, (lane.left - 1) / each);
    const ChannelStream& part = part_of(lane);
    const std::int64_t row = lane.block / banks;
    std::int64_t row_end = rows;
    for (const auto& item : spec_.classes) {
      if (spec_.classes.size() > 1 && item.row_begin <= row && row < item.row_end) row_end = item.row_end;
    }
    // All blocks up to and including the one that is due after the jump lie before row_end.
    const std::int64_t blocks = each * part.step / span_ * part.block_step;
    if (blocks > 0) times = std::min(times, (row_end * banks - 1 - lane.block) / blocks);
  }
  return times;
}

void StreamCursor::jump(std::int64_t requests, std::int64_t times) {
  const std::int64_t each = requests / static_cast<std::int64_t>(lanes_.size());
  const ChannelStream& first = part_of(lanes_[0]);
  shift_ += times * (each * first.step / span_) * first.block_step;
  for (Lane& lane : lanes_) {
    lane.block += times * (each * part_of(lane).step / span_) * part_of(lane).block_step;
    lane.left -= times * each;
    sent_[static_cast<std::size_t>(part_of(lane).kind)] += times * each;
  }
  sent_in_epoch_ += times * requests;
}

}  // namespace moeram
