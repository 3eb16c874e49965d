#pragma once

#include "kernel.hpp"

#include <cstring>

namespace troupe::cpu {

/// Copies the strided inputs of a launch into its scratch, in a phase of its own before the
/// kernel's, so that kernels walk over plain arrays. Costs nothing when all inputs are contiguous.
///
/// A plan function calls `plan()` first and takes its own scratch from what `rest()` gives; its
/// phases read inputs through `in()`. A template over the instruction set, as all that kernels
/// call.
template <class A>
struct Contiguous {
  static constexpr std::int64_t chunk_elements = 32768;

  /// Adds the copying phase if an input needs one, and `own_bytes` of scratch for the kernel
  /// itself.
  static void plan(const KernelCall& call, Plan& plan, std::size_t own_bytes = 0) {
    std::int64_t chunks = 0;
    double bytes = 0;
    for (std::size_t i = 0; i < call.in_count; ++i) {
      if (call.in[i].contiguous) continue;
      chunks += chunks_of(call.in[i]);
      bytes += static_cast<double>(bytes_of(call.in[i]));
    }
    plan.scratch_bytes = offset_of(call, call.in_count) + own_bytes;
    if (chunks == 0) return;
    plan.add(&copy_chunk, chunks);
    plan.cost_ns += bytes;  // about 1 ns for each byte gathered
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
  static std::int64_t chunks_of(const View& view) {
    return (elements_of(view) + chunk_elements - 1) / chunk_elements;
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
    std::int64_t first = chunk;
    std::size_t i = 0;
    for (;; ++i) {
      if (call.in[i].contiguous) continue;
      const std::int64_t chunks = chunks_of(call.in[i]);
      if (first < chunks) break;
      first -= chunks;
    }
    const View& view = call.in[i];
    std::byte* to = scratch + offset_of(call, i);
    switch (element_bytes(view)) {
      case 8:
        copy<std::uint64_t>(view, first * chunk_elements, to);
        break;
      case 4:
        copy<std::uint32_t>(view, first * chunk_elements, to);
        break;
      case 2:
        copy<std::uint16_t>(view, first * chunk_elements, to);
        break;
      default:
        copy<std::uint8_t>(view, first * chunk_elements, to);
        break;
    }
  }

  /// Copies up to `chunk_elements` elements from place `begin` on, row by row.
  template <class Word>
  static void copy(const View& view, std::int64_t begin, std::byte* scratch) {
    const std::int64_t total = elements_of(view);
    const std::int64_t end = begin + chunk_elements < total ? begin + chunk_elements : total;
    const std::size_t rank = view.shape.size();
    const auto* from = static_cast<const Word*>(view.data);
    auto* to = reinterpret_cast<Word*>(scratch) + begin;
    if (rank == 0) {
      to[0] = from[0];
      return;
    }
    std::int64_t index[rank_max] = {};
    std::int64_t offset = 0;
    std::int64_t place = begin;
    for (std::size_t d = rank; d-- > 0;) {
      index[d] = place % view.shape[d];
      place /= view.shape[d];
      offset += index[d] * view.strides[d];
    }
    const std::size_t last = rank - 1;
    const std::int64_t step = view.strides[last];
    for (std::int64_t done = begin; done < end;) {
      std::int64_t run = view.shape[last] - index[last];
      if (run > end - done) run = end - done;
      const Word* row = from + offset;
      if (step == 1)
        std::memcpy(to, row, static_cast<std::size_t>(run) * sizeof(Word));
      else
        for (std::int64_t j = 0; j < run; ++j) to[j] = row[j * step];
      to += run;
      done += run;
      // On to the start of the next row.
      offset -= index[last] * step;
      index[last] = 0;
      for (std::size_t d = last; d-- > 0;) {
        offset += view.strides[d];
        if (++index[d] < view.shape[d]) break;
        offset -= view.shape[d] * view.strides[d];
        index[d] = 0;
      }
    }
  }
};

}  // namespace troupe::cpu
