#pragma once

#include <troupe/tensor/dtype.hpp>
#include <troupe/tensor/shape.hpp>

#include <string>

namespace troupe {

/// What is known of a tensor before its data are there: dtype and shape.
struct Meta {
  DType dtype = DType::float32;
  Shape shape;

  [[nodiscard]] std::int64_t elements() const noexcept { return elements_in(shape); }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(elements()) * size_of(dtype);
  }
  friend bool operator==(const Meta& a, const Meta& b) noexcept {
    return a.dtype == b.dtype && a.shape == b.shape;
  }
};

/// Throws `invalid_argument` for a negative size, and for more bytes than can be counted.
void check_sizes(const Meta& meta);

/// "float32[64, 784]"
[[nodiscard]] std::string to_string(const Meta& meta);

}  // namespace troupe
