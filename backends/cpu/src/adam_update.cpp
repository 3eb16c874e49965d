#include "contiguous.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/adam_update.hpp>

#include <cmath>

namespace troupe::cpu {
namespace {

constexpr std::int64_t chunk_elements = 16384;

/// Reads all that a register of elements needs before it writes: outputs may be the inputs' memory.
template <class T, bool Amsgrad>
void run(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using L = Lanes<T, Arch>;
  using V = typename L::V;
  const auto& op = call.op<AdamUpdate>();
  const T* w = C::in<T>(call, scratch, 0);
  const T* m = C::in<T>(call, scratch, 1);
  const T* v = C::in<T>(call, scratch, 2);
  const T* u = Amsgrad ? C::in<T>(call, scratch, 3) : nullptr;
  const T* g = C::in<T>(call, scratch, Amsgrad ? 4 : 3);
  const auto* scalars = C::in<double>(call, scratch, Amsgrad ? 5 : 4);
  T* new_w = call.out[0].as<T>();
  T* new_m = call.out[1].as<T>();
  T* new_v = call.out[2].as<T>();
  T* new_u = Amsgrad ? call.out[3].as<T>() : nullptr;

  const double rate = scalars[0];
  const double correction1 = 1 - std::pow(op.beta1, scalars[1]);
  const double correction2 = 1 - std::pow(op.beta2, scalars[1]);
  const V minus_step(static_cast<T>(-rate / correction1));
  const V root2(static_cast<T>(std::sqrt(correction2)));
  const V eps(static_cast<T>(op.eps));
  const V beta1(static_cast<T>(op.beta1));
  const V beta2(static_cast<T>(op.beta2));
  const V fresh1(static_cast<T>(1 - op.beta1));
  const V fresh2(static_cast<T>(1 - op.beta2));
  const V decay(static_cast<T>(op.weight_decay));
  const V shrink(static_cast<T>(1 - rate * op.weight_decay));
  const std::int64_t all = call.out[0].elements();
  const std::int64_t begin = chunk * chunk_elements;
  const std::int64_t end = begin + chunk_elements < all ? begin + chunk_elements : all;
  for (std::int64_t i = begin; i < end; i += L::count) {
    const std::int64_t n = end - i;
    V weight = L::load(w + i, n, T(0));
    V d = L::load(g + i, n, T(0));
    if (op.maximize) d = -d;
    if (op.weight_decay != 0) {
      if (op.decoupled)
        weight *= shrink;
      else
        d = fused_multiply_add(weight, decay, d);
    }
    const V first = fused_multiply_add(d, fresh1, L::load(m + i, n, T(0)) * beta1);
    const V second = fused_multiply_add(d * d, fresh2, L::load(v + i, n, T(0)) * beta2);
    L::store(new_m + i, n, first);
    L::store(new_v + i, n, second);
    V spread = second;
    if constexpr (Amsgrad) {
      spread = xsimd::max(L::load(u + i, n, T(0)), second);
      L::store(new_u + i, n, spread);
    }
    const V divisor = xsimd::sqrt(spread) / root2 + eps;
    L::store(new_w + i, n, fused_multiply_add(first / divisor, minus_step, weight));
  }
}

}  // namespace

template <>
void Kernel<AdamUpdate, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t all = call.out[0].elements();
  if (all == 0) return;
  const bool wide = call.out[0].dtype == DType::float64;
  const bool amsgrad = call.op<AdamUpdate>().amsgrad;
  plan.cost_ns += static_cast<double>(all) * (wide ? 3 : 1.5);
  plan.add(
      wide ? (amsgrad ? &run<double, true> : &run<double, false>)
           : (amsgrad ? &run<float, true> : &run<float, false>),
      (all + chunk_elements - 1) / chunk_elements);
}

}  // namespace troupe::cpu
