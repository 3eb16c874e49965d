#pragma once

#include <cstdint>

namespace troupe::cpu {

/// Loops that do nothing but what a machine is measured by, on one instruction set.
struct LimitLoops {
  /// Multiply-adds of float32 in registers; returns the floating-point operations done.
  double (*multiply_add)(std::int64_t rounds) noexcept = nullptr;
  /// The same of bfloat16 products, added in float32; null where the set has none.
  double (*bfloat16)(std::int64_t rounds) noexcept = nullptr;
  /// Reads n floats, a multiple of 64, and adds them up so that they must be read.
  float (*read)(const float* a, std::int64_t n) noexcept = nullptr;
  /// a = b + s·c on n floats, a multiple of 64.
  void (*triad)(float* a, const float* b, const float* c, std::int64_t n) noexcept = nullptr;
};

template <class A>
LimitLoops limit_loops();

/// `LimitLoops::bfloat16` of a set beyond those of xsimd.
template <class Set>
double bfloat16_peak(std::int64_t rounds) noexcept;

}  // namespace troupe::cpu
