#include "moeram/frontend/external.h"

#include "moeram/base/errors.h"

namespace moeram {

bool ExternalFrontEnd::send(RequestTarget& memory, int kind, std::int64_t byte_address, int source, OnRead done) {
  if (byte_address < 0) throw EngineError("a request has the negative address " + std::to_string(byte_address));
  if (source < -1 || source >= cores_) {
    throw EngineError("a request has source " + std::to_string(source) + "; -1 to " + std::to_string(cores_ - 1) + " are expected (Frontend.cores)");
  }
  if (kind != kRead || !done) return memory.send(kind, byte_address, source, 0);
  if (free_tags_.empty()) {
    waiting_.emplace_back();
    free_tags_.push_back(waiting_.size());
  }
  const std::uint64_t tag = free_tags_.back();
  if (!memory.send(kind, byte_address, source, tag)) return false;
  free_tags_.pop_back();
  waiting_[tag - 1] = std::move(done);
  return true;
}

void ExternalFrontEnd::on_read_done(const Request& request) {
  // The callback may send, which may use this very tag anew.
  const OnRead done = std::move(waiting_[request.tag - 1]);
  waiting_[request.tag - 1] = nullptr;
  free_tags_.push_back(request.tag);
  done(request);
}

}  // namespace moeram
