#include "fold_loops.hpp"

#include <troupe/tensor/ops/mean.hpp>
#include <troupe/tensor/ops/prod.hpp>
#include <troupe/tensor/ops/sum.hpp>

namespace troupe::cpu {

template <>
void Kernel<Sum, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_fold<Sum, SumFold, Arch>(call, plan);
}

template <>
void Kernel<Mean, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.in[0].dtype == DType::float64)
    FoldKernel<Mean, MeanFold<double, Arch>, Arch>::plan(call, plan);
  else
    FoldKernel<Mean, MeanFold<float, Arch>, Arch>::plan(call, plan);
}

template <>
void Kernel<Prod, Arch>::plan(const KernelCall& call, Plan& plan) {
  plan_fold<Prod, ProdFold, Arch>(call, plan);
}

}  // namespace troupe::cpu
