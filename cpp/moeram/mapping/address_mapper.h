// From byte addresses to address vectors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moeram/dram/spec.h"

namespace moeram {

class AddressMapper {
 public:
  virtual ~AddressMapper() = default;
  virtual Address map(std::int64_t byte_address) const = 0;
  // Addresses from here on have no place of their own.
  virtual std::int64_t end_address() const = 0;
  // Addresses so far apart, or several times so far, should lie in one channel and column, the same number of blocks (see
  // Frame) from each other wherever they begin. Who builds on it checks it for the addresses in question.
  virtual std::int64_t bytes_between_blocks() const = 0;
  virtual std::string name() const = 0;
};

std::vector<std::string> address_mapper_names();
std::unique_ptr<AddressMapper> make_address_mapper(const std::string& name, const Spec& spec);  // throws ConfigError
// "RoBaRaCoChMixed" or "ChRaBaRoCoMixed".
std::unique_ptr<AddressMapper> make_mixed_radix_mapper(const std::string& name, const Spec& spec);
// What a mapper loses by a count that is no power of two, as a sentence; empty if it loses nothing.
std::string mapper_for_odd_counts(const std::string& name, const Spec& spec);

}  // namespace moeram
