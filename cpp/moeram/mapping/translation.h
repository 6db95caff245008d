// From virtual to physical addresses, for front ends with cores.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace moeram {

class Translation {
 public:
  virtual ~Translation() = default;
  virtual std::int64_t translate(std::int64_t address, int core) = 0;
  virtual std::string name() const = 0;
};

class NoTranslation : public Translation {
 public:
  std::int64_t translate(std::int64_t address, int) override { return address; }
  std::string name() const override { return "NoTranslation"; }
};

// A random physical page at the first touch of a virtual page by a core. As in Ramulator 2.0 a page is never marked as
// taken: two virtual pages may share one.
class RandomTranslation : public Translation {
 public:
  // Throws ConfigError if not even one page fits below `max_address`.
  RandomTranslation(std::int64_t max_address, std::int64_t page_bytes, std::int32_t seed, int cores);
  std::int64_t translate(std::int64_t address, int core) override;
  std::string name() const override { return "RandomTranslation"; }

 private:
  int page_bits_;
  std::int64_t pages_;
  std::mt19937_64 random_;
  std::vector<std::unordered_map<std::int64_t, std::int64_t>> tables_;  // [core] virtual page -> physical page
};

}  // namespace moeram
