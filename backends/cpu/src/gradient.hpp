#pragma once

#include "kernel.hpp"

#include <cstdint>

namespace troupe::cpu {

/// The gradient that an update takes: a tensor, or made tile by tile by the launch's prologue. A
/// template over the instruction set, as all that kernels call.
template <class T, class A>
struct GradientPieces {
  static constexpr std::int64_t tile_elements = std::int64_t{8192} / sizeof(T);

  /// Calls `body(at, count, g)` for pieces of the elements from `begin` to before `end`: `g` are
  /// those of the gradient from `at` on.
  ///
  /// @param tensor  where the gradient lies, if it is there
  template <class Body>
  [[gnu::always_inline]] static void each(
      const KernelCall& call,
      const T* tensor,
      std::int64_t begin,
      std::int64_t end,
      const Body& body) {
    // One copy of the body: which NaN comes of two depends on the instructions that are chosen.
    alignas(64) T tile[tile_elements];
    for (std::int64_t at = begin; at < end; at += tile_elements) {
      const std::int64_t count = end - at < tile_elements ? end - at : tile_elements;
      const T* gradient = tile;
      if (call.make_elements)
        call.make_elements(*call.segment, at, 1, 0, count, tile);
      else
        gradient = tensor + at;
      body(at, count, gradient);
    }
  }
};

}  // namespace troupe::cpu
