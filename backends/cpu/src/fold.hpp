#pragma once

#include "elementwise.hpp"
#include "kernel.hpp"

#include <troupe/tensor/ops/fold.hpp>

#include <cstdint>

namespace troupe::cpu {

/// The plan's numbers of a reduction.
enum FoldNumber : std::size_t {
  fold_outer,
  fold_first,
  fold_middle,
  fold_second,
  fold_inner,
  fold_segments,         ///< pieces that `second` is cut into
  fold_segment,          ///< elements of a piece
  fold_items_per_chunk,  ///< rows, or tiles of columns
  fold_sums_at,          ///< where partial results begin in the scratch
  fold_copied,           ///< whether the input was copied to the scratch in front
};

/// How a reduction sees its input: groups of adjacent dimensions that are folded alike.
///
///     [outer, first, middle, second, inner]
///
/// `first` and `second` are folded. Most reductions have one folded group: `first` and `middle` are
/// 1 then. An input that is strided or has more groups is copied in front, what stays before what
/// is folded: [outer, second].
struct FoldShape {
  std::int64_t outer = 1, first = 1, middle = 1, second = 1, inner = 1;
  bool copies = false;
  View permuted;  // of the input, kept dimensions first; what is copied

  [[nodiscard]] std::int64_t kept() const noexcept { return outer * middle * inner; }
  [[nodiscard]] std::int64_t folded() const noexcept { return first * second; }
};

/// Axes that an op folds, as a bit for each dimension.
template <class A>
std::uint32_t folded_axes(const Dims& axes, std::size_t rank) {
  if (axes.size() == 0 || rank == 0) return (1u << rank) - 1;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < axes.size(); ++i)
    bits |= 1u << (axes[i] < 0 ? axes[i] + static_cast<std::int64_t>(rank) : axes[i]);
  return bits;
}

/// `rows_only`: the kernel takes nothing but [outer, second].
template <class A>
FoldShape fold_shape(const View& x, std::uint32_t axes, bool rows_only) {
  FoldShape shape;
  struct Group {
    std::int64_t size;
    bool folds;
  };
  Group groups[rank_max];
  std::size_t count = 0;
  for (std::size_t d = 0; d < x.shape.size(); ++d) {
    const bool folds = axes >> d & 1;
    if (x.shape[d] == 1) continue;
    if (count > 0 && groups[count - 1].folds == folds)
      groups[count - 1].size *= x.shape[d];
    else
      groups[count++] = {x.shape[d], folds};
  }
  // From the last group inward, each takes the next of the five places that is folded as it is.
  std::int64_t* const places[5] = {
      &shape.inner, &shape.second, &shape.middle, &shape.first, &shape.outer};
  std::size_t place = 0;
  bool fits = true;
  for (std::size_t g = count; g-- > 0;) {
    if ((place % 2 == 1) != groups[g].folds) ++place;
    fits = fits && place < 5;
    if (fits) *places[place++] = groups[g].size;
  }
  if (shape.first == 1) {
    shape.outer *= shape.middle;
    shape.middle = 1;
  }
  const bool rows = shape.inner == 1 && shape.first == 1;
  if (x.contiguous && fits && (rows || !rows_only)) return shape;

  shape = FoldShape{};
  shape.copies = true;
  shape.permuted = x;
  std::size_t to = 0;
  for (const bool folds : {false, true})
    for (std::size_t d = 0; d < x.shape.size(); ++d) {
      if ((axes >> d & 1) != (folds ? 1u : 0u)) continue;
      shape.permuted.shape[to] = x.shape[d];
      shape.permuted.strides[to] = x.strides[d];
      ++to;
      (folds ? shape.second : shape.outer) *= x.shape[d];
    }
  shape.permuted.contiguous = false;
  return shape;
}

}  // namespace troupe::cpu
