// The shared last-level cache of Ramulator 2.0's SimpleO3, its oddities included: a miss fetches on write, waiting
// requests are kept by byte address and overwritten by hits, every retry counts.
#pragma once

#include <functional>
#include <vector>

#include "moeram/base/ring.h"
#include "moeram/frontend/frontend.h"

namespace moeram {

struct CacheOptions {
  std::int64_t latency_cycles = 47;
  std::int64_t line_bytes = 64;
  std::int64_t ways = 8;
  std::int64_t bytes = 0;  // of all cores together
  std::int64_t mshrs = 0;  // of all cores together
};

struct CacheStatistics {
  std::int64_t evictions = 0, read_access = 0, write_access = 0, read_misses = 0, write_misses = 0, mshr_unavailable = 0;
};

class LastLevelCache {
 public:
  struct Access {
    std::int64_t address = 0;
    bool write = false;
    int core = -1;
  };
  // Told when the data of an access are there; arrive and depart are memory cycles, -1 if memory was not asked.
  using Deliver = std::function<void(const Access&, Cycle arrive, Cycle depart)>;

  LastLevelCache(const CacheOptions& options, Deliver deliver);

  // False: refused, try again.
  bool access(const Access& access);
  // Whether the access just refused found no free MSHR.
  bool mshrs_were_out() const { return mshrs_were_out_; }
  // Drop the line of an address if it is there and complete; a dirty one is written back.
  void flush(std::int64_t address);
  // Lines "index,addr,tag,dirty" under a header, in order of use. Loading throws TraceError naming file and line.
  void save(const std::string& path) const;
  void load(const std::string& path);
  // Account for `times` further refusals of that kind, as long as nothing completed in between.
  void refuse_again(bool write, bool mshrs_out, std::int64_t times);
  void tick(RequestTarget& memory);
  // Whether the next tick offers something to memory; if not, tick_alone() is the same.
  bool asks_next() const { return !misses_.empty() && misses_.front().due <= now_ + 1; }
  void tick_alone() {
    ++now_;
    if (!hits_.empty() && hits_.front().due <= now_) deliver_hits();
  }
  void on_read_done(const Request& request) { complete(request.byte_address, request.arrive, request.depart); }

  // How many of the coming ticks do nothing but what pass() does.
  std::int64_t quiet_ticks(const RequestTarget& memory) const;
  void pass(RequestTarget& memory, std::int64_t ticks);
  const CacheStatistics& statistics() const { return statistics_; }

 private:
  struct Line {
    std::int64_t address;
    std::int64_t tag;
    bool dirty;
    bool ready;
    std::uint64_t id;
  };
  using Set = std::vector<Line>;  // least recently used first
  struct Mshr {
    std::int64_t address;  // of the access that allocated it, to the byte
    std::size_t set;
    std::uint64_t line;
  };
  struct Timed {
    std::int64_t due;
    Access access;
  };

  // Accesses that wait for memory, by byte address.
  struct Waiting {
    std::int64_t address;
    std::vector<Access> accesses;
  };

  std::size_t set_of(std::int64_t address) const { return static_cast<std::size_t>((address >> index_shift_) & index_mask_); }
  std::int64_t tag_of(std::int64_t address) const { return address >> tag_shift_; }
  std::int64_t aligned(std::int64_t address) const { return address & ~(options_.line_bytes - 1); }
  bool allocate(const Access& access);
  void evict(Set& set, Set::iterator victim);
  Line* find_line(const Mshr& mshr);
  std::vector<Access>& waiting_for(std::int64_t address);
  std::vector<Access> take_waiting(std::int64_t address);
  void recycle(std::vector<Access>&& accesses);
  void deliver_hits();
  void offer_misses(RequestTarget& memory);
  void release(std::int64_t address);
  void complete(std::int64_t address, Cycle arrive, Cycle depart);

  CacheOptions options_;
  Deliver deliver_;
  int index_shift_ = 0;
  int tag_shift_ = 0;
  std::int64_t index_mask_ = 0;
  std::vector<Set> sets_;
  std::vector<Mshr> mshrs_;
  Ring<Timed> misses_;  // reads and write-backs on their way to memory, by due time
  Ring<Timed> hits_;
  std::vector<Waiting> waiting_;             // few, so a search through all is short
  std::vector<std::vector<Access>> spare_;   // memory of lists that are done
  CacheStatistics statistics_;
  bool mshrs_were_out_ = false;
  std::uint64_t offered_version_ = 0;   // of memory when misses were last offered
  std::int64_t now_ = 0;
  std::uint64_t next_line_ = 1;
};

}  // namespace moeram
