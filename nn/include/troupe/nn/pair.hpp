#pragma once

#include <troupe/tensor/shape.hpp>

#include <cstdint>

namespace troupe::nn {

/// A number for each of height and width; one number stands for both.
class Pair {
 public:
  Pair(std::int64_t both) noexcept : height(both), width(both) {}  // NOLINT: meant implicit
  Pair(std::int64_t height, std::int64_t width) noexcept : height(height), width(width) {}

  std::int64_t height;
  std::int64_t width;

  [[nodiscard]] Dims dims() const noexcept { return {height, width}; }
  friend bool operator==(const Pair&, const Pair&) = default;
};

}  // namespace troupe::nn
