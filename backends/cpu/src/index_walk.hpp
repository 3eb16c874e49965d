#pragma once

#include "contiguous.hpp"
#include "simd.hpp"

namespace troupe::cpu {

/// The numbers in an index tensor, whichever integer they are.
template <class A>
struct Indices {
  const void* data;
  bool wide;

  static Indices of(const KernelCall& call, std::byte* scratch, std::size_t i) {
    return {
        Contiguous<A>::template in<std::byte>(call, scratch, i), call.in[i].dtype == DType::int64};
  }
  [[nodiscard]] std::int64_t operator[](std::int64_t i) const {
    return wide ? static_cast<const std::int64_t*>(data)[i]
                : static_cast<const std::int32_t*>(data)[i];
  }
};

/// Bytes of one element.
template <class A>
constexpr std::int64_t width_of(DType dtype) {
  return dtype == DType::float64 || dtype == DType::int64      ? 8
         : dtype == DType::float32 || dtype == DType::int32    ? 4
         : dtype == DType::float16 || dtype == DType::bfloat16 ? 2
                                                               : 1;
}

}  // namespace troupe::cpu
