#include "moeram/frontend/last_level_cache.h"

#include <algorithm>
#include <bit>

#include "moeram/base/errors.h"

namespace moeram {
namespace {

int floor_log2(std::int64_t value) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value))) - 1; }

// Any tag but 0 asks memory to report the read.
constexpr std::uint64_t kReport = 1;

}  // namespace

LastLevelCache::LastLevelCache(const CacheOptions& options, Deliver deliver) : options_(options), deliver_(std::move(deliver)) {
  if (options.line_bytes < 1 || options.ways < 1 || options.latency_cycles < 0 || options.mshrs < 1) {
    throw ConfigError("the last-level cache needs a positive line size, ways and MSHRs and no negative latency");
  }
  const std::int64_t sets = options.bytes / (options.line_bytes * options.ways);
  if (sets < 1) throw ConfigError("the last-level cache of " + std::to_string(options.bytes) + " bytes has no set");
  // If the number of sets is no power of two the mask has holes and tag and index overlap, as in 2.0.
  index_shift_ = floor_log2(options.line_bytes);
  index_mask_ = sets - 1;
  tag_shift_ = index_shift_ + floor_log2(sets);
  sets_.resize(static_cast<std::size_t>(sets));
}

bool LastLevelCache::access(const Access& access) {
  ++(access.write ? statistics_.write_access : statistics_.read_access);
  Set& set = sets_[set_of(access.address)];
  const std::int64_t tag = tag_of(access.address);
  const auto found = std::find_if(set.begin(), set.end(), [&](const Line& line) { return line.tag == tag; });
  if (found != set.end() && found->ready) {
    std::rotate(found, std::next(found), set.end());
    set.back().address = access.address;
    set.back().dirty = set.back().dirty || access.write;
    hits_.push_back({now_ + options_.latency_cycles, access});
    return true;
  }
  ++(access.write ? statistics_.write_misses : statistics_.read_misses);
  for (const auto& mshr : mshrs_) {
    if (aligned(mshr.address) != aligned(access.address)) continue;
    waiting_for(mshr.address).push_back(access);
    if (Line* line = find_line(mshr)) line->dirty = line->dirty || access.write;
    return true;
  }
  mshrs_were_out_ = static_cast<std::int64_t>(mshrs_.size()) == options_.mshrs;
  if (mshrs_were_out_) {
    ++statistics_.mshr_unavailable;
    return false;
  }
  return allocate(access);
}

bool LastLevelCache::allocate(const Access& access) {
  const std::size_t index = set_of(access.address);
  Set& set = sets_[index];
  const std::int64_t tag = tag_of(access.address);
  const bool known = std::any_of(set.begin(), set.end(), [&](const Line& line) { return line.tag == tag; });
  if (!known && static_cast<std::int64_t>(set.size()) >= options_.ways) {
    const auto victim = std::find_if(set.begin(), set.end(), [](const Line& line) { return line.ready; });
    if (victim == set.end()) return false;
    evict(set, victim);
  }
  set.push_back({access.address, tag, access.write, false, next_line_});
  mshrs_.push_back({access.address, index, next_line_++});
  waiting_for(access.address).assign(1, access);
  misses_.push_back({now_ + options_.latency_cycles, {access.address, false, access.core}});
  return true;
}

void LastLevelCache::evict(Set& set, Set::iterator victim) {
  ++statistics_.evictions;
  if (victim->dirty) misses_.push_back({now_ + options_.latency_cycles, {victim->address, true, -1}});
  set.erase(victim);
}

void LastLevelCache::flush(std::int64_t address) {
  Set& set = sets_[set_of(address)];
  const auto found = std::find_if(set.begin(), set.end(), [&](const Line& line) { return line.tag == tag_of(address); });
  if (found != set.end() && found->ready) evict(set, found);
}

LastLevelCache::Line* LastLevelCache::find_line(const Mshr& mshr) {
  Set& set = sets_[mshr.set];
  const auto found = std::find_if(set.begin(), set.end(), [&](const Line& line) { return line.id == mshr.line; });
  return found == set.end() ? nullptr : &*found;
}

void LastLevelCache::refuse_again(bool write, bool mshrs_out, std::int64_t times) {
  (write ? statistics_.write_access : statistics_.read_access) += times;
  (write ? statistics_.write_misses : statistics_.read_misses) += times;
  if (mshrs_out) statistics_.mshr_unavailable += times;
}

void LastLevelCache::tick(RequestTarget& memory) {
  ++now_;
  if (!misses_.empty() && misses_.front().due <= now_) offer_misses(memory);
  deliver_hits();
}

void LastLevelCache::deliver_hits() {
  while (!hits_.empty() && hits_.front().due <= now_) {
    const Access access = hits_.front().access;
    hits_.pop_front();
    // Whoever waited for the same byte is forgotten, as in 2.0.
    if (!waiting_.empty()) recycle(take_waiting(access.address));
    if (!mshrs_.empty()) release(access.address);
    deliver_(access, -1, -1);
  }
}

// Entries that memory refuses stay and are offered again in every tick; later ones are tried all the same.
void LastLevelCache::offer_misses(RequestTarget& memory) {
  for (std::size_t i = 0; i < misses_.size() && misses_[i].due <= now_;) {
    const Access& access = misses_[i].access;
    const bool sent = access.write ? memory.send(kWrite, access.address, -1, 0) : memory.send(kRead, access.address, access.core, kReport);
    if (!sent) {
      ++i;
    } else if (i == 0) {
      misses_.pop_front();
    } else {
      misses_.erase(i);
    }
  }
  offered_version_ = memory.version();
}

std::vector<LastLevelCache::Access>& LastLevelCache::waiting_for(std::int64_t address) {
  for (auto& entry : waiting_) {
    if (entry.address == address) return entry.accesses;
  }
  waiting_.push_back({address, {}});
  if (!spare_.empty()) {
    waiting_.back().accesses = std::move(spare_.back());
    waiting_.back().accesses.clear();
    spare_.pop_back();
  }
  return waiting_.back().accesses;
}

std::vector<LastLevelCache::Access> LastLevelCache::take_waiting(std::int64_t address) {
  std::vector<Access> accesses;
  for (auto& entry : waiting_) {
    if (entry.address != address) continue;
    accesses = std::move(entry.accesses);
    entry = std::move(waiting_.back());
    waiting_.pop_back();
    break;
  }
  return accesses;
}

std::int64_t LastLevelCache::quiet_ticks(const RequestTarget& memory) const {
  std::int64_t next = hits_.empty() ? kNever : hits_.front().due;
  for (std::size_t i = 0; i < misses_.size(); ++i) {
    const Timed& entry = misses_[i];
    if (entry.due <= now_) {
      // Refused before; accepted no sooner than memory has room again.
      if (memory.version() != offered_version_) return 0;
      continue;
    }
    next = std::min(next, entry.due);
    break;
  }
  return next == kNever ? kNever : next - now_ - 1;
}

void LastLevelCache::pass(RequestTarget& memory, std::int64_t ticks) {
  for (std::size_t i = 0; i < misses_.size() && misses_[i].due <= now_; ++i) {
    const Timed& entry = misses_[i];
    memory.refuse_again(entry.access.write ? kWrite : kRead, entry.access.address, ticks);
  }
  now_ += ticks;
}

// A hit can thus release an MSHR of the same line that was allocated since.
void LastLevelCache::release(std::int64_t address) {
  const auto mshr = std::find_if(mshrs_.begin(), mshrs_.end(), [&](const Mshr& entry) { return aligned(entry.address) == aligned(address); });
  if (mshr == mshrs_.end()) return;
  if (Line* line = find_line(*mshr)) line->ready = true;
  mshrs_.erase(mshr);
}

void LastLevelCache::recycle(std::vector<Access>&& accesses) {
  if (accesses.capacity() > 0) spare_.push_back(std::move(accesses));
}

void LastLevelCache::complete(std::int64_t address, Cycle arrive, Cycle depart) {
  release(address);
  auto accesses = take_waiting(address);
  for (const auto& access : accesses) deliver_(access, arrive, depart);
  recycle(std::move(accesses));
}

}  // namespace moeram
