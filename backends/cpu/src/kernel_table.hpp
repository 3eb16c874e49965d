#pragma once

#include "elementwise.hpp"
#include "kernel.hpp"
#include "limit_loops.hpp"

#include <troupe/tensor/all_ops.hpp>

namespace troupe::cpu {

/// The kernels of one instruction set, in the order of `AllOps`. An op has a plan of its own, or an
/// expression for the loops that all elementwise ops share, or neither, if it is a view.
struct KernelTable {
  PlanFunction plans[AllOps::size] = {};
  const Expressions* expressions[AllOps::size] = {};
  void (*plan_elementwise)(const KernelCall& call, Plan& plan, Expression expression, bool waits) =
      nullptr;
  Expression (*conversion_of)(DType from, DType to) = nullptr;  ///< what a cast is in a segment
  LimitLoops limit_loops;
};

template <class A>
KernelTable make_kernel_table();

}  // namespace troupe::cpu
