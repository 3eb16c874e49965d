#pragma once

namespace troupe::cpu {

/// AVX-512 with its bfloat16 extension: the kernels of AVX-512, but for products of bfloat16. Not
/// a type of xsimd's: its own kernels are written with intrinsics.
struct avx512bf16 {};

}  // namespace troupe::cpu
