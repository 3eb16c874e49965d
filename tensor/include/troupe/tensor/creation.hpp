#pragma once

#include <troupe/tensor/tensor.hpp>

/// Tensors made from nothing but their shape. They go to the scope's device; in a capture they
/// become constants of the graph. Random ones: ops/uniform.hpp, ops/normal.hpp, ops/randint.hpp.
namespace troupe {

// All throw `invalid_argument` for a negative size or more bytes than can be counted, and
// `out_of_memory` for more than there is.

/// torch.full; but float32 unless told, whatever kind of number the value is.
[[nodiscard]] Tensor full(
    const Shape& size,
    Number fill_value,
    DType dtype = DType::float32,
    Where where = Where::here());
[[nodiscard]] Tensor full_like(const Tensor& x, Number fill_value, Where where = Where::here());

[[nodiscard]] inline Tensor zeros(
    const Shape& size, DType dtype = DType::float32, Where where = Where::here()) {
  return full(size, 0, dtype, where);
}
[[nodiscard]] inline Tensor zeros_like(const Tensor& x, Where where = Where::here()) {
  return full_like(x, 0, where);
}
[[nodiscard]] inline Tensor ones(
    const Shape& size, DType dtype = DType::float32, Where where = Where::here()) {
  return full(size, 1, dtype, where);
}
[[nodiscard]] inline Tensor ones_like(const Tensor& x, Where where = Where::here()) {
  return full_like(x, 1, where);
}

/// torch.arange of whole numbers: start, start + step, … below `end` (above it, for a negative
/// step); int64. Throws `invalid_argument` for a step of 0. For fractions there is linspace.
[[nodiscard]] Tensor arange(
    std::int64_t start, std::int64_t end, std::int64_t step = 1, Where where = Where::here());
[[nodiscard]] inline Tensor arange(std::int64_t end, Where where = Where::here()) {
  return arange(0, end, 1, where);
}
/// torch.linspace: `steps` numbers from `start` to `end`, both included.
[[nodiscard]] Tensor linspace(
    double start,
    double end,
    std::int64_t steps,
    DType dtype = DType::float32,
    Where where = Where::here());
/// torch.eye: ones on the diagonal.
[[nodiscard]] Tensor eye(
    std::int64_t rows,
    std::int64_t columns = -1,
    DType dtype = DType::float32,
    Where where = Where::here());

}  // namespace troupe
