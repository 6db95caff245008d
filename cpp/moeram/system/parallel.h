// Independent pieces of work on some threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace moeram {

// Calls work(0) ... work(count - 1). If some throw, the first of them in this order is thrown, whichever came first in time.
// Once `cancelled` is true no further piece is begun.
template <class Work>
void in_parallel(std::size_t count, int threads, const std::atomic<bool>* cancelled, const Work& work) {
  std::vector<std::exception_ptr> failures(count);
  std::atomic<std::size_t> next{0};
  const auto take = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      if (cancelled != nullptr && *cancelled) return;
      try {
        work(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> helpers;
  for (int t = 1; t < std::min<int>(threads, static_cast<int>(count)); ++t) helpers.emplace_back(take);
  take();
  for (auto& helper : helpers) helper.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace moeram
