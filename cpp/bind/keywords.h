#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "moeram/base/errors.h"

namespace moeram::bind {

// Keyword arguments into the fields of a config; an unknown one is a ConfigError.
class Keywords {
 public:
  Keywords(std::string name, const pybind11::kwargs& given) : name_(std::move(name)), given_(given) {}

  template <class Value>
  void take(const char* name, Value& field) {
    if (!given_.contains(name)) return;
    try {
      field = given_[name].cast<Value>();
    } catch (const pybind11::cast_error&) {
      throw ConfigError(name_ + ": " + name + " has a value of the wrong type");
    }
    ++taken_;
    known_ += std::string(" ") + name;
  }

  void finish() const {
    if (taken_ == given_.size()) return;
    for (const auto& item : given_) {
      const auto name = item.first.cast<std::string>();
      if ((known_ + " ").find(" " + name + " ") == std::string::npos) throw ConfigError(name_ + ": keyword '" + name + "' is unknown");
    }
  }

 private:
  std::string name_;
  const pybind11::kwargs& given_;
  std::size_t taken_ = 0;
  std::string known_;
};

}  // namespace moeram::bind
