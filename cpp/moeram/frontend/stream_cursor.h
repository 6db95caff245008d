// Where a channel's program stands. Whole turns of its pattern can be taken as done: then what follows is asked at the
// banks and rows at which the turns began, and `shift` says how far off that is.
#pragma once

#include "moeram/frontend/stream.h"

namespace moeram {

class StreamCursor {
 public:
  // The program must outlive the cursor.
  StreamCursor(const ChannelProgram& program, const StreamGeometry& geometry);

  bool finished() const { return lanes_.empty(); }
  // Of the request that is due: its kind and block (shifted) and column.
  int kind() const { return part_of(lanes_[due_]).kind; }
  std::int64_t block() const { return lanes_[due_].block + lanes_[due_].at % interleaved_ - shift_; }
  std::int64_t column() const { return lanes_[due_].at / interleaved_; }
  void advance();

  std::int64_t sent(int kind) const { return sent_[static_cast<std::size_t>(kind)]; }
  std::int64_t sent() const { return sent_[0] + sent_[1]; }
  // Changes when a part ends.
  std::int64_t epoch() const { return epoch_; }
  std::int64_t shift() const { return shift_; }

  // Requests from one place of the pattern to the same place some blocks on; 0: the lanes keep no step.
  std::int64_t turn() const { return turn_; }
  bool at_turn() const { return turn_ > 0 && sent_in_epoch_ % turn_ == 0; }
  // What is to come, seen from the block that is due, as far as the present parts last.
  void canonical(std::int64_t blocks, std::vector<std::int64_t>& out) const;
  // How often `requests`, a number of requests after which canonical() was the same, can be repeated before a part ends or
  // a row leaves the latency class of the row that is due.
  std::int64_t repeats(std::int64_t requests) const;
  void jump(std::int64_t requests, std::int64_t times);

 private:
  struct Lane {
    const StreamLane* parts;
    std::size_t part = 0;
    std::int64_t at = 0;     // transactions within the span
    std::int64_t block = 0;  // of the span
    std::int64_t left = 0;  // requests of the part, the due one included
    // From one request to the next, before the carry.
    std::int64_t on = 0, blocks_on = 0;
  };
  const ChannelStream& part_of(const Lane& lane) const { return (*lane.parts)[lane.part]; }
  void begin_group();
  void begin_part(Lane& lane);
  void begin_epoch();

  const ChannelProgram& program_;
  const Spec& spec_;
  std::int64_t span_;
  std::int64_t interleaved_;
  std::size_t next_group_ = 0;
  std::vector<Lane> lanes_;
  std::size_t due_ = 0;
  std::int64_t sent_[2] = {0, 0};
  std::int64_t sent_in_epoch_ = 0;
  std::int64_t epoch_ = 0;
  std::int64_t turn_ = 0;
  std::int64_t shift_ = 0;
};

}  // namespace moeram
