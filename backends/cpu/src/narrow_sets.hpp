#pragma once

namespace troupe::cpu {

/// AVX-512 with its bfloat16 extension: the kernels of AVX-512, but for products of bfloat16. Not
/// a type of xsimd's: its own kernels are written with intrinsics.
struct avx512bf16 {};

/// The same with AMX's tiles, which multiply bfloat16, and float32 split into parts of bfloat16.
struct amx {};
/// Asks the operating system to save the 8 KiB of each thread's tiles, from now on and for the
/// whole process. False where it refuses or does not know them; none may be touched then.
[[nodiscard]] bool tiles_permitted();

}  // namespace troupe::cpu
