#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <future>

namespace moeram::bind {

// Calls run(cancelled) without the GIL. Ctrl-C sets `cancelled` and is raised once the run has ended: Python's signal
// handlers run only in its main thread, which therefore waits here.
template <class Run>
auto run_interruptibly(const Run& run) {
  std::atomic<bool> cancelled{false};
  const pybind11::gil_scoped_release release;
  auto answer = std::async(std::launch::async, [&] { return run(&cancelled); });
  while (answer.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    const pybind11::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() == 0) continue;
    cancelled = true;
    const pybind11::error_already_set interrupted;
    {
      const pybind11::gil_scoped_release without;
      answer.wait();
    }
    throw interrupted;
  }
  return answer.get();
}

}  // namespace moeram::bind
