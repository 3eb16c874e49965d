#pragma once

#include "kernel.hpp"

namespace troupe::cpu::test {

/// The kernels for AMX, whole, but on tiles in memory that plain C++ multiplies as the processor
/// would. Run on a processor with AVX-512 and its bfloat16 extension, which packing uses.
void plan_emulated_matmul(const KernelCall& call, Plan& plan);
void plan_emulated_linear(const KernelCall& call, Plan& plan);
void plan_emulated_conv2d(const KernelCall& call, Plan& plan);
void plan_emulated_conv2d_input(const KernelCall& call, Plan& plan);
void plan_emulated_conv2d_weight(const KernelCall& call, Plan& plan);

}  // namespace troupe::cpu::test
