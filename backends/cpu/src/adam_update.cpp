#include "contiguous.hpp"
#include "gradient.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/adam_update.hpp>

#include <cmath>

namespace troupe::cpu {
namespace {

constexpr std::int64_t chunk_elements = 16384;

/// Reads all that a pack of elements needs before it writes: outputs may be the inputs' memory.
template <class T, bool Amsgrad>
[[gnu::flatten]] void run(
    const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using Elements = Line<T, Arch, Along::one>;
  using V = typename Elements::V;
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
  const V minus_step(-rate / correction1);
  const V unroot2(1 / std::sqrt(correction2));
  const V eps(op.eps);
  const V beta1(op.beta1);
  const V beta2(op.beta2);
  const V fresh1(1 - op.beta1);
  const V fresh2(1 - op.beta2);
  const V sign(op.maximize ? -1 : 1);
  const bool pulls = op.weight_decay != 0 && !op.decoupled;
  const V decay(op.weight_decay);
  const V shrink(op.decoupled ? 1 - rate * op.weight_decay : 1);
  const std::int64_t all = call.out[0].elements();
  const std::int64_t begin = chunk * chunk_elements;
  const std::int64_t end = begin + chunk_elements < all ? begin + chunk_elements : all;
  const auto update = [&](std::int64_t place, std::int64_t count, const T* gradient) {
    Elements{0, count, 1, 1}.each([&](auto at) {
      const V weight = at.load(w + place, T(0));
      V d = at.load(gradient, T(0)) * sign;
      if (pulls) d = fma(weight, decay, d);
      const V first = fma(d, fresh1, at.load(m + place, T(0)) * beta1);
      const V second = fma(d * d, fresh2, at.load(v + place, T(0)) * beta2);
      V spread = second;
      if constexpr (Amsgrad) spread = larger(at.load(u + place, T(0)), second);
      at.store(new_m + place, first);
      at.store(new_v + place, second);
      if constexpr (Amsgrad) at.store(new_u + place, spread);
      const V divisor = fma(sqrt(spread), unroot2, eps);
      at.store(new_w + place, fma(first / divisor, minus_step, weight * shrink));
    });
  };
  GradientPieces<T, Arch>::each(call, g, begin, end, update);
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
