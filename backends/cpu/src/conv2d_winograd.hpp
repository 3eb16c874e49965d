#pragma once

#include "conv2d_correlation.hpp"
#include "kernel.hpp"

namespace troupe::cpu {

/// Plans conv2d forward, or backward to the input, of float32 by Winograd's F(4×4, 3×3), if the
/// shape allows it and it is likely to be faster than the plain sum.
/// @returns whether it did; else the plan is as it was.
template <class A>
bool plan_winograd(const KernelCall& call, CorrelationKind kind, Plan& plan);

/// Conv2dBackwardWeight by F(3×3, 4×4), likewise.
template <class A>
bool plan_winograd_weight(const KernelCall& call, Plan& plan);

extern template bool plan_winograd<Arch>(const KernelCall&, CorrelationKind, Plan&);
extern template bool plan_winograd_weight<Arch>(const KernelCall&, Plan&);

}  // namespace troupe::cpu
