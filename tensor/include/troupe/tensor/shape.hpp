#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

namespace troupe {

/// Most dimensions a tensor can have.
inline constexpr std::size_t rank_max = 8;

/// A short list of integers, at most `rank_max`: the sizes, strides or axes of a tensor. Held
/// inline; copying one allocates nothing.
class Dims {
 public:
  constexpr Dims() noexcept {}  // leaves the unused places alone: copies and clears stay cheap
  constexpr Dims(std::initializer_list<std::int64_t> values)
      : Dims(std::span<const std::int64_t>(values.begin(), values.size())) {}
  /// Throws `invalid_argument` for more than `rank_max` values.
  constexpr explicit Dims(std::span<const std::int64_t> values) {
    for (const std::int64_t value : values) push_back(value);
  }
  static constexpr Dims filled(std::size_t rank, std::int64_t value) {
    Dims dims;
    for (std::size_t i = 0; i < rank; ++i) dims.push_back(value);
    return dims;
  }

  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr std::int64_t& operator[](std::size_t i) noexcept { return values_[i]; }
  constexpr std::int64_t operator[](std::size_t i) const noexcept { return values_[i]; }
  [[nodiscard]] constexpr const std::int64_t* begin() const noexcept { return values_; }
  [[nodiscard]] constexpr const std::int64_t* end() const noexcept { return values_ + size_; }
  [[nodiscard]] constexpr std::int64_t* begin() noexcept { return values_; }
  [[nodiscard]] constexpr std::int64_t* end() noexcept { return values_ + size_; }
  [[nodiscard]] constexpr std::int64_t back() const noexcept { return values_[size_ - 1]; }
  constexpr void push_back(std::int64_t value) {
    if (size_ == rank_max) too_many();
    values_[size_++] = value;
  }
  constexpr void erase(std::size_t i) noexcept {
    for (; i + 1 < size_; ++i) values_[i] = values_[i + 1];
    --size_;
  }
  constexpr void insert(std::size_t i, std::int64_t value) {
    push_back(value);
    for (std::size_t j = size_ - 1; j > i; --j) std::swap(values_[j], values_[j - 1]);
  }

  friend constexpr bool operator==(const Dims& a, const Dims& b) noexcept {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i)
      if (a.values_[i] != b.values_[i]) return false;
    return true;
  }

  template <class Visitor>
  void fields(Visitor& visit) {
    visit.field("rank", size_);
    if (size_ > rank_max) too_many();
    for (std::size_t i = 0; i < size_; ++i) visit.field("dim", values_[i]);
  }

 private:
  [[noreturn]] static void too_many();

  std::int64_t values_[rank_max];
  std::uint8_t size_ = 0;
};

/// The sizes of a tensor's dimensions, outermost first. A scalar has none.
using Shape = Dims;

/// Elements in a tensor of this shape; 1 for a scalar. The sizes must have passed `check_sizes`.
[[nodiscard]] constexpr std::int64_t elements_in(const Shape& shape) noexcept {
  std::int64_t n = 1;
  for (const std::int64_t d : shape) n *= d;
  return n;
}

/// The strides, in elements, of a row-major tensor.
[[nodiscard]] constexpr Dims contiguous_strides(const Shape& shape) noexcept {
  Dims strides = shape;
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

/// "[64, 784]"
[[nodiscard]] std::string to_string(const Dims& dims);

/// NumPy's broadcasting of two shapes; throws `shape_mismatch` naming both.
[[nodiscard]] Shape broadcast(const Shape& a, const Shape& b);
/// Whether `from` broadcasts to exactly `to`, which has no negative size.
[[nodiscard]] bool broadcasts_to(const Shape& from, const Shape& to) noexcept;

/// −1 → last axis and so on; throws `axis_out_of_range` naming axis and rank.
[[nodiscard]] std::size_t normalize_axis(std::int64_t axis, std::size_t rank);
/// Throws like `normalize_axis`, but lets a scalar have 0 and −1, as PyTorch does where an op
/// leaves the shape as it is.
void check_axis(std::int64_t axis, std::size_t rank);
/// Sorted, unique, non-negative axes; an empty list means all. Throws like `normalize_axis`, and
/// `invalid_argument` for an axis given twice. As in PyTorch a scalar takes 0 and −1, which name
/// none of its axes.
[[nodiscard]] Dims normalize_axes(const Dims& axes, std::size_t rank);
/// The shape after reducing the (normalized) axes; size 1 in their place when `keepdim`.
[[nodiscard]] Shape reduced_shape(const Shape& shape, const Dims& axes, bool keepdim);

}  // namespace troupe
