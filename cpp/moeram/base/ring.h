// A queue in one piece of memory that grows and never shrinks: no allocation once it has been as long as it gets.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace moeram {

template <class Item>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  Item& operator[](std::size_t i) { return items_[(first_ + i) & (items_.size() - 1)]; }
  const Item& operator[](std::size_t i) const { return items_[(first_ + i) & (items_.size() - 1)]; }
  Item& front() { return items_[first_]; }
  const Item& front() const { return items_[first_]; }
  Item& back() { return (*this)[size_ - 1]; }
  const Item& back() const { return (*this)[size_ - 1]; }

  void push_back(const Item& item) {
    if (size_ == items_.size()) grow();
    items_[(first_ + size_++) & (items_.size() - 1)] = item;
  }
  void pop_front() {
    first_ = (first_ + 1) & (items_.size() - 1);
    --size_;
  }
  void clear() { first_ = size_ = 0; }
  // Keeps the order of the others.
  void erase(std::size_t i) {
    for (; i + 1 < size_; ++i) (*this)[i] = (*this)[i + 1];
    --size_;
  }

 private:
  // Sizes are powers of two, so that a position wraps with a mask.
  void grow() {
    std::vector<Item> larger(items_.empty() ? 8 : 2 * items_.size());
    for (std::size_t i = 0; i < size_; ++i) larger[i] = (*this)[i];
    items_ = std::move(larger);
    first_ = 0;
  }

  std::vector<Item> items_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace moeram
