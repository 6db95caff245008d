// The state of a queue-list controller in relative terms.
#include <algorithm>

#include "moeram/controller/queued_controller.h"

namespace moeram {

std::vector<std::int64_t> QueuedController::canonical(const Frame& frame) const {
  std::vector<std::int64_t> out;
  device_.canonical(now_, frame, out);
  refresh_->canonical(now_, out);
  const auto still = [&](Cycle cycle) { return std::max<Cycle>(cycle - now_, 0); };
  const auto add = [&](const Request& request) {
    out.insert(out.end(), {request.kind, request.source, request.byte_address, static_cast<std::int64_t>(request.tag), now_ - request.arrive});
    out.push_back(request.first_command < 0 ? -1 : now_ - request.first_command);
    frame.label(request.address, out);
  };
  for (const RunQueue& queue : queues_) {
    out.push_back(queue.size());
    // As many neighbours as stand in one slot are as many requests for the columns behind the first.
    queue.for_each_slot([&](const Request& request, int count) {
      Request one = request;
      for (int i = 0; i < count; ++i, ++one.address[static_cast<std::size_t>(spec_.column_level)]) {
        add(one);
        one.first_command = -1;
      }
    });
  }
  out.push_back(static_cast<std::int64_t>(pending_.size()));
  for (const Request& request : pending_) {
    add(request);
    out.push_back(still(request.depart));
  }
  // A marker completes a tick later than all that was written before it.
  out.insert(out.end(), {write_mode_, kept_choice_, mode_, std::max<Cycle>(writes_done_ - now_, -1), std::max<Cycle>(fed_done_ - now_, -1)});
  for (std::size_t label = 0; label < marked_open_.size(); ++label) out.push_back(marked_open_[static_cast<std::size_t>(frame.node(spec_.bank_level, static_cast<int>(label)))]);
  if (sharing_ != nullptr) {
    out.push_back(sharing_->phase(now_));
    for (const Side side : {Side::host, Side::units}) out.push_back(waiting_[index_of(side)] > 0 ? now_ - unserved_since_[index_of(side)] : -1);
  }
  if (feed_ != nullptr) feed_->canonical(now_, out);
  return out;
}

}  // namespace moeram
