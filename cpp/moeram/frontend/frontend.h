// What makes requests, one clock tick at a time.
#pragma once

#include <cstdint>
#include <string>

#include "moeram/base/statistics.h"
#include "moeram/controller/listener.h"

namespace moeram {

// The memory system as a front end sees it.
class RequestTarget {
 public:
  virtual ~RequestTarget() = default;
  // False: refused, offer it again.
  // `tag` other than 0: a read is reported to the front end's on_read_done.
  virtual bool send(int kind, std::int64_t byte_address, int source, std::uint64_t tag) = 0;
  // An address vector instead of a byte address; such reads are not reported.
  virtual bool send(int kind, const Address& address) = 0;
  virtual void refuse_again(int kind, std::int64_t byte_address, std::int64_t times) = 0;
  virtual void refuse_again(int kind, const Address& address, std::int64_t times) = 0;
  // Changes whenever a refused request might be accepted now.
  virtual std::uint64_t version() const = 0;
};

class FrontEnd : public ReadSink {
 public:
  virtual void tick(RequestTarget& memory) = 0;
  virtual bool finished() const = 0;
  // How many of the coming ticks change nothing but what pass() accounts for, as long as the memory's version stays;
  // kNever: all of them.
  virtual std::int64_t quiet_ticks(const RequestTarget& memory) const = 0;
  // Let `ticks` such ticks pass.
  virtual void pass(RequestTarget& memory, std::int64_t ticks) = 0;
  void on_read_done(const Request&) override {}
  // Cores whose reads have statistics of their own.
  virtual int cores() const { return 1; }
  // At the end of a run that went well.
  virtual void finish() {}
  virtual Component describe() const = 0;
};

}  // namespace moeram
