#pragma once

#include <troupe/core/error.hpp>
#include <troupe/io/tree.hpp>

#include <cmath>
#include <string>

namespace troupe::optim {

/// The setting's number. Throws `invalid_argument` for a NaN and for the infinite.
inline double require_finite(const io::Tree& settings, const char* name) {
  const double value = settings.at(name).as_double();
  if (!std::isfinite(value))
    throw Error(
        ErrorCode::invalid_argument,
        "'" + std::string(name) + "' is " + std::to_string(value) + ", but must be finite");
  return value;
}

/// Throws `invalid_argument` for a negative number too.
inline void require_at_least_zero(const io::Tree& settings, const char* name) {
  const double value = require_finite(settings, name);
  if (value < 0)
    throw Error(
        ErrorCode::invalid_argument,
        "'" + std::string(name) + "' is " + std::to_string(value) + ", but must not be negative");
}

}  // namespace troupe::optim
