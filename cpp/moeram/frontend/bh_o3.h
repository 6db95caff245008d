// Ramulator 2.0's BHO3 without its RowHammer defence: cores that are waited for, and attackers that are not. Attackers
// use physical addresses and flush every line that they were given.
#pragma once

#include <string>
#include <vector>

#include "moeram/frontend/simple_o3.h"

namespace moeram {

struct BhO3Options {
  std::vector<std::string> traces;
  std::vector<std::string> attackers;
  std::string load_cache;  // file with the lines that the cache holds at the start; "": none
  std::string save_cache;  // file for those at the end
};

class BhO3 : public SimpleO3 {
 public:
  BhO3(const BhO3Options& options, const CoreOptions& core, const CacheOptions& cache, std::unique_ptr<Translation> translation);
  void finish() override;
  Component describe() const override;

 private:
  void deliver(const LastLevelCache::Access& access, Cycle arrive, Cycle depart) override;

  std::string save_cache_;
};

}  // namespace moeram
