// The family of errors that a user can meet; bind/ translates them one to one into Python's moeram.errors.
#pragma once

#include <stdexcept>
#include <string>

namespace moeram {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A configuration, preset, override or standard is wrong.
class ConfigError : public Error {
 public:
  using Error::Error;
};

// A trace file is malformed.
class TraceError : public Error {
 public:
  using Error::Error;
};

// Something does not fit a memory or a buffer.
class CapacityError : public Error {
 public:
  using Error::Error;
};

// The simulation cannot go on.
class EngineError : public Error {
 public:
  using Error::Error;
};

}  // namespace moeram
