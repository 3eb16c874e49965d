#pragma once

#include "kernel.hpp"

namespace troupe::cpu {

/// Plans a kernel for 16-bit floats by that for float32: a phase widens all inputs into scratch,
/// the kernel's own phases, three at most, compute there, and a last one rounds the output, once.
template <class A>
void plan_wide(const KernelCall& call, Plan& plan, PlanFunction kernel);

}  // namespace troupe::cpu
