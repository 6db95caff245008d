// One channel that serves its part of some streams, from closed banks to the last datum.
#pragma once

#include <atomic>
#include <limits>

#include "moeram/controller/controller.h"
#include "moeram/frontend/stream_cursor.h"
#include "moeram/system/repeats.h"

namespace moeram {

struct StreamOptions {
  ControllerOptions controller;
  Cycle interval = 0;       // at least this many cycles between two requests of a channel; 0: one may come every cycle
  Cycle refresh_phase = 0;  // how much of the refresh interval has passed before the first request
  bool skip = true;
  bool fold = true;         // take repetitions as done
};

struct StreamChannelResult {
  Cycle cycles = 0;
  std::int64_t reads = 0, writes = 0;
  std::int64_t simulated = 0;         // requests that were not taken as done
  std::vector<std::int64_t> counts;   // as Controller::counts()
  std::vector<RankEnergy> energy;     // by rank, if the device has an energy model
};

class StreamChannel {
 public:
  // Spec and program must outlive the channel.
  StreamChannel(const StreamGeometry& geometry, int channel, const ChannelProgram& program, const StreamOptions& options);
  // Stops early, unfinished, once `cancelled` is true.
  StreamChannelResult run(const std::atomic<bool>* cancelled = nullptr);

 private:
  void offer();
  void skip();
  bool waits_for_time() const { return !cursor_.finished() && !refused_ && next_offer_ > controller_.now(); }
  Moment moment() const;
  std::string state(bool with_refresh);
  bool folds() const;
  // Both take what can be taken as done at this point.
  void fold_turns();
  void fold_refreshes();
  void jump(const Period& period, std::int64_t times, const Moment& now);

  static constexpr int kTries = 4096;

  const StreamGeometry& geometry_;
  const ChannelProgram& program_;
  StreamOptions options_;
  Controller controller_;
  StreamCursor cursor_;
  Frame frame_;
  Request due_;
  std::int64_t placed_block_ = std::numeric_limits<std::int64_t>::min();  // of due_.address
  bool refused_ = false;
  bool accepted_ = false;  // in this cycle
  Cycle next_offer_ = 0;
  std::int64_t simulated_ = 0;
  Repeats turns_, refreshes_;
  std::int64_t epoch_ = -1;
  int row_class_ = 0;  // of the row that is due
  int tries_left_ = kTries;  // at turns that did not come back
  bool turns_done_ = false, refreshes_done_ = false;  // nothing more to gain until a refresh, until the parts or the class of rows change
};

}  // namespace moeram
