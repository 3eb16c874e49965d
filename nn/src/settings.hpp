#pragma once

#include <troupe/core/error.hpp>
#include <troupe/io/tree.hpp>

#include <string>

namespace troupe::optim {

/// Throws `invalid_argument` for a negative number or a NaN.
inline void require_at_least_zero(const io::Tree& settings, const char* name) {
  const double value = settings.at(name).as_double();
  if (!(value >= 0))
    throw Error(
        ErrorCode::invalid_argument,
        "'" + std::string(name) + "' is " + std::to_string(value) + ", but must not be negative");
}

}  // namespace troupe::optim
