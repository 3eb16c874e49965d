#include "kernel_table.hpp"

#include "simd.hpp"

#include <cstddef>
#include <utility>

namespace troupe::cpu {

template <>
LimitLoops limit_loops<Arch>();
template <>
void add_expressions<Arch, 0>(const Expressions** of_ops);
template <>
void add_expressions<Arch, 1>(const Expressions** of_ops);
template <>
void add_expressions<Arch, 2>(const Expressions** of_ops);
template <>
void add_expressions<Arch, 3>(const Expressions** of_ops);

namespace {

template <class Op>
constexpr PlanFunction plan_of() {
  if constexpr (Op::family == OpFamily::structured)
    return &Kernel<Op, Arch>::plan;
  else
    return nullptr;
}

template <class... Ops, std::size_t... I>
void add_plans(PlanFunction* plans, OpList<Ops...>, std::index_sequence<I...>) {
  ((plans[I] = plan_of<Ops>()), ...);
}

}  // namespace

template <>
KernelTable make_kernel_table<Arch>() {
  KernelTable table;
  add_plans(table.plans, AllOps{}, std::make_index_sequence<AllOps::size>{});
  static_assert(expression_parts == 4);
  add_expressions<Arch, 0>(table.expressions);
  add_expressions<Arch, 1>(table.expressions);
  add_expressions<Arch, 2>(table.expressions);
  add_expressions<Arch, 3>(table.expressions);
  table.plan_elementwise = &ElementwiseLoops<Arch>::plan;
  table.conversion_of = &ElementwiseLoops<Arch>::conversion_of;
  table.limit_loops = limit_loops<Arch>();
  return table;
}

}  // namespace troupe::cpu
