#pragma once

#include "strided_copy.hpp"

namespace troupe::cpu {

/// Copies the strided inputs of a launch into its scratch, in a phase of its own before the
/// kernel's, so that kernels walk over plain arrays. Costs nothing when all inputs are contiguous.
///
/// A plan function calls `plan()` first and takes its own scratch from what `rest()` gives; its
/// phases read inputs through `in()`. A template over the instruction set, as all that kernels
/// call.
template <class A>
struct Contiguous {
  /// Adds the copying phase if an input needs one, and `own_bytes` of scratch for the kernel
  /// itself.
  static void plan(const KernelCall& call, Plan& plan, std::size_t own_bytes = 0) {
    std::int64_t chunks = 0;
    double cost_ns = 0;
    for (std::size_t i = 0; i < call.in_count; ++i) {
      if (call.in[i].contiguous) continue;
      const StridedCopy<A> copy(call.in[i]);
      chunks += copy.chunks();
      cost_ns += copy.cost_ns(element_bytes(call.in[i]));
    }
    plan.scratch_bytes = offset_of(call, call.in_count) + own_bytes;
    if (chunks == 0) return;
    plan.add(&copy_chunk, chunks);
    plan.cost_ns += cost_ns;
  }

  /// Input i, row-major.
  template <class T>
  static const T* in(const KernelCall& call, std::byte* scratch, std::size_t i) {
    if (call.in[i].contiguous) return call.in[i].template as<const T>();
    return reinterpret_cast<const T*>(scratch + offset_of(call, i));
  }

  /// The kernel's own scratch, aligned to 64 bytes.
  static std::byte* rest(const KernelCall& call, std::byte* scratch) {
    return scratch + offset_of(call, call.in_count);
  }

 private:
  static std::int64_t elements_of(const View& view) {
    std::int64_t n = 1;
    for (std::size_t i = 0; i < view.shape.size(); ++i) n *= view.shape[i];
    return n;
  }
  static std::size_t element_bytes(const View& view) {
    switch (view.dtype) {
      case DType::float64:
      case DType::int64:
        return 8;
      case DType::float32:
      case DType::int32:
        return 4;
      case DType::float16:
      case DType::bfloat16:
        return 2;
      default:
        return 1;
    }
  }
  static std::size_t bytes_of(const View& view) {
    const auto bytes = static_cast<std::size_t>(elements_of(view)) * element_bytes(view);
    return (bytes + 63) / 64 * 64;
  }
  /// Where the copies of the inputs before `i` end.
  static std::size_t offset_of(const KernelCall& call, std::size_t end) {
    std::size_t offset = 0;
    for (std::size_t i = 0; i < end; ++i)
      if (!call.in[i].contiguous) offset += bytes_of(call.in[i]);
    return offset;
  }

  static void copy_chunk(
      const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
    std::int64_t place = chunk;
    for (std::size_t i = 0; i < call.in_count; ++i) {
      if (call.in[i].contiguous) continue;
      const StridedCopy<A> copy(call.in[i]);
      if (place < copy.chunks())
        return copy.run(element_bytes(call.in[i]), place, scratch + offset_of(call, i));
      place -= copy.chunks();
    }
  }
};

}  // namespace troupe::cpu
