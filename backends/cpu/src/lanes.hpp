#pragma once

#include "simd.hpp"

#include <cstdint>
#include <cstring>

namespace troupe::cpu {

/// Loads and stores that reach over fewer elements than a register has lanes, and sums across lanes
/// in a fixed order. Tails so run the very code that whole registers run, and an element's bits do
/// not depend on where it stands.
template <class T, class A>
struct Lanes {
  using V = Vec<T, A>;
  static constexpr std::int64_t count = static_cast<std::int64_t>(V::size);

  /// The first `n` elements; the other lanes hold `rest`.
  static V load(const T* from, std::int64_t n, T rest) {
    if (n >= count) return V::load_unaligned(from);
    alignas(64) T lanes[count];
    for (std::int64_t i = 0; i < count; ++i) lanes[i] = rest;
    for (std::int64_t i = 0; i < n; ++i) lanes[i] = from[i];
    return V::load_aligned(lanes);
  }
  static void store(T* to, std::int64_t n, V value) {
    if (n >= count) {
      value.store_unaligned(to);
      return;
    }
    alignas(64) T lanes[count];
    value.store_aligned(lanes);
    for (std::int64_t i = 0; i < n; ++i) to[i] = lanes[i];
  }

  /// Folds halves onto each other until one lane is left.
  static T sum(V value) {
    alignas(64) T lanes[count];
    value.store_aligned(lanes);
    for (std::int64_t half = count / 2; half > 0; half /= 2)
      for (std::int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    return lanes[0];
  }
  static T max(V value) {
    alignas(64) T lanes[count];
    value.store_aligned(lanes);
    for (std::int64_t half = count / 2; half > 0; half /= 2)
      for (std::int64_t i = 0; i < half; ++i)
        lanes[i] = lanes[i] < lanes[i + half] ? lanes[i + half] : lanes[i];
    return lanes[0];
  }
};

/// A tensor seen as [outer, length, inner], and one group of its lines along the middle: either one
/// line whose neighbours are adjacent in memory (`Across = false`; a register holds pieces of it),
/// or as many adjacent lines as a register has lanes (`Across = true`). A kernel written against
/// this serves both.
template <class T, class A, bool Across>
struct Line {
  using L = Lanes<T, A>;
  using V = Vec<T, A>;
  static constexpr bool across = Across;

  std::int64_t base;    ///< the first element's place in the tensor
  std::int64_t length;  ///< elements in a line
  std::int64_t stride;  ///< between a line's elements: `inner`
  std::int64_t lanes;   ///< lines in the group; 1 unless across

  /// Groups in a tensor of that many outer and inner places.
  static std::int64_t groups(std::int64_t outer, std::int64_t inner) {
    return Across ? outer * ((inner + L::count - 1) / L::count) : outer;
  }
  static Line at(std::int64_t group, std::int64_t length, std::int64_t inner) {
    if constexpr (!Across) return {group * length, length, 1, 1};
    const std::int64_t per_outer = (inner + L::count - 1) / L::count;
    const std::int64_t first = group % per_outer * L::count;
    const std::int64_t left = inner - first;
    return {
        group / per_outer * length * inner + first,
        length,
        inner,
        left < L::count ? left : L::count};
  }
  /// The place of this group's first line among all lines [outer, inner].
  [[nodiscard]] std::int64_t first_line() const {
    if constexpr (!Across) return base / (length ? length : 1);
    const std::int64_t outer = base / (length * stride);
    return outer * stride + base % stride;
  }

  [[nodiscard]] std::int64_t steps() const {
    return Across ? length : (length + L::count - 1) / L::count;
  }
  [[nodiscard]] std::int64_t at_step(std::int64_t step) const {
    return base + (Across ? step * stride : step * L::count);
  }
  [[nodiscard]] std::int64_t active(std::int64_t step) const {
    return Across ? lanes : length - step * L::count;
  }
  [[nodiscard]] V load(const T* tensor, std::int64_t step, T rest) const {
    return L::load(tensor + at_step(step), active(step), rest);
  }
  void store(T* tensor, std::int64_t step, V value) const {
    L::store(tensor + at_step(step), active(step), value);
  }
  /// A value for each element of the middle, the same for all lines, as class weights are; ones
  /// when `values` is null. Lanes beyond the line hold 0.
  [[nodiscard]] V load_shared(const T* values, std::int64_t step) const {
    if constexpr (Across) return V(values ? values[step] : T(1));
    if (values) return L::load(values + step * L::count, active(step), T(0));
    alignas(64) T ones[L::count];
    for (std::int64_t i = 0; i < L::count; ++i) ones[i] = i < active(step) ? T(1) : T(0);
    return V::load_aligned(ones);
  }

  /// A line's sum or maximum, in all lanes that hold its elements.
  static V sum(V partial) {
    if constexpr (Across) return partial;
    return V(L::sum(partial));
  }
  static V max(V partial) {
    if constexpr (Across) return partial;
    return V(L::max(partial));
  }
};

}  // namespace troupe::cpu
