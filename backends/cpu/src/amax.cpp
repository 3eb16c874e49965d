#include "fold_loops.hpp"

#include <troupe/tensor/ops/all.hpp>
#include <troupe/tensor/ops/amax.hpp>
#include <troupe/tensor/ops/amin.hpp>
#include <troupe/tensor/ops/any.hpp>

namespace troupe::cpu {

template <>
void Kernel<Amax, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_fold<Amax, MaxFold, Arch>(call, plan);
}

template <>
void Kernel<Amin, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_fold<Amin, MinFold, Arch>(call, plan);
}

template <>
void Kernel<All, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_fold<All, AllFold, Arch>(call, plan);
}

template <>
void Kernel<Any, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_fold<Any, AnyFold, Arch>(call, plan);
}

}  // namespace troupe::cpu
