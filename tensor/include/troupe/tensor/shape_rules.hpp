#pragma once

#include <troupe/tensor/meta.hpp>

#include <initializer_list>
#include <span>
#include <string_view>

// What the shape rules of structured ops ask of their inputs, each throwing an `Error` that names
// the input and what it is. The call that runs a rule adds the op, all shapes and the caller's
// line.
namespace troupe {

/// Throws `shape_mismatch` unless the tensor has `rank` dimensions; `layout` shows them, as "[N,
/// C]".
void require_rank(
    const Meta& meta, std::size_t rank, std::string_view input, std::string_view layout);
/// Throws `shape_mismatch` unless the tensor has at least `rank` dimensions.
void require_rank_at_least(
    const Meta& meta, std::size_t rank, std::string_view input, std::string_view layout);
/// Throws `shape_mismatch` unless the shape is `expected`.
void require_shape(const Meta& meta, const Shape& expected, std::string_view input);
/// Throws `dtype_mismatch` unless the dtype is float32 or float64.
void require_floating(const Meta& meta, std::string_view input);
/// Throws `dtype_mismatch` unless the dtype is a floating one, of 16 bits or more: what products of
/// matrices take.
void require_factor(const Meta& meta, std::string_view input);
/// Throws `dtype_mismatch` unless all inputs are such, of one dtype.
void require_factors(std::span<const Meta> inputs, std::initializer_list<std::string_view> names);
/// Throws `dtype_mismatch` unless the dtype is int64 or int32.
void require_index(const Meta& meta, std::string_view input);
/// Throws `dtype_mismatch` unless the dtype is `like`'s.
void require_same_dtype(
    const Meta& meta, std::string_view input, const Meta& like, std::string_view like_input);
/// Throws `dtype_mismatch` unless all inputs are float32 or all float64.
void require_all_floating(
    std::span<const Meta> inputs, std::initializer_list<std::string_view> names);
/// Throws `invalid_argument` unless `value >= least`, naming the attribute.
void require_at_least(std::int64_t value, std::int64_t least, std::string_view attribute);
/// Throws `invalid_argument` unless there are `count` values of at least `least` each.
void require_each_at_least(
    const Dims& values, std::size_t count, std::int64_t least, std::string_view attribute);
/// Throws `invalid_argument` unless the number of inputs is in [least, most].
void require_inputs(std::span<const Meta> inputs, std::size_t least, std::size_t most);

/// The inputs of an update rule: a weight, `states` states and a gradient all alike, then the
/// scalars {learning rate, step}. Throws `shape_mismatch` or `dtype_mismatch`.
void require_update(std::span<const Meta> inputs, std::size_t states);

/// Places at which a window of `kernel` elements, `dilation` apart, fits into `size` elements
/// padded on both sides, moved by `stride`. With `ceil_mode` a last window may reach beyond the
/// padding, if it starts before it. Throws `shape_mismatch` when not even one fits.
[[nodiscard]] std::int64_t window_places(
    std::int64_t size,
    std::int64_t kernel,
    std::int64_t stride,
    std::int64_t padding,
    std::int64_t dilation,
    bool ceil_mode = false);

/// The product of all sizes but the last: rows of a matrix [rows, last].
[[nodiscard]] constexpr std::int64_t rows_in(const Shape& shape) noexcept {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

/// One number for height and width becomes two; anything else stays, for the shape rule to judge.
[[nodiscard]] constexpr Dims pair_of(const Dims& values) noexcept {
  return values.size() == 1 ? Dims{values[0], values[0]} : values;
}

}  // namespace troupe
