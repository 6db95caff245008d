// The family of errors that a user can meet; bind/ translates them one to one into Python's moeram.errors.
#pragma once

#include <stdexcept>
#include <string>

namespace moeram {

class Error : public std::runtime_error {
 public:
  // Control characters and bytes that are no UTF-8 become '?': messages quote what stands in damaged files.
  explicit Error(const std::string& message);
};

// A configuration, preset, override or standard is wrong.
class ConfigError : public Error {
 public:
  using Error::Error;
};

// A ConfigError whose message starts with the place: file and line, or the argument of the command line.
class PlacedError : public ConfigError {
 public:
  using ConfigError::ConfigError;
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
