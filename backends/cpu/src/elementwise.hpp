#pragma once

#include "kernel.hpp"

#include <cstdint>

namespace troupe::cpu {

/// Computes `n` elements of an elementwise op from `n` contiguous elements of each input. An output
/// may be an input's own memory.
using Expression =
    void (*)(const void* attributes, void* out, const void* const* in, std::int64_t n);

/// The expressions of one op, by the dtype it computes in; null where it has none.
struct Expressions {
  Expression by_dtype[dtype_count] = {};
  /// It does so little to an element that it waits for memory: large results then go past the
  /// caches. What computes longer has time to write through them, and is held up otherwise.
  bool waits = false;
};

/// Runs elementwise ops on one instruction set: broadcasts and strides are resolved here, once for
/// all ops, so that an op is no more than its loop over contiguous elements.
template <class A>
struct ElementwiseLoops {
  static constexpr std::int64_t inputs_max = 3;
  static constexpr std::int64_t chunk_elements = 32768;
  /// Elements gathered or repeated at a time: three inputs of 8 bytes take 12 KiB of the first
  /// cache.
  static constexpr std::int64_t tile_elements = 512;

  static void plan(const KernelCall& call, Plan& plan, Expression expression, bool waits);
  /// Computes the output's elements from `begin` to before `end`, in row-major order; past the
  /// caches if `streams`.
  static void run(
      const KernelCall& call,
      Expression expression,
      std::int64_t begin,
      std::int64_t end,
      bool streams = false);
  [[nodiscard]] static Expression copy_of(std::size_t element_bytes);
  [[nodiscard]] static Expression conversion_of(DType from, DType to);
};

/// Files compiled for one instruction set share the work of compiling the expressions.
inline constexpr int expression_parts = 4;

/// Fills in the expressions of every op in part `Part` of `AllOps`, in the list's order.
template <class A, int Part>
void add_expressions(const Expressions** of_ops);

}  // namespace troupe::cpu
