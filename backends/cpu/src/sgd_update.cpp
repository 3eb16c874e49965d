#include "contiguous.hpp"
#include "gradient.hpp"
#include "lanes.hpp"

#include <troupe/tensor/ops/sgd_update.hpp>

namespace troupe::cpu {
namespace {

constexpr std::int64_t chunk_elements = 32768;

/// Reads all that a pack of elements needs before it writes: outputs may be the inputs' memory.
template <class T>
[[gnu::flatten]] void run(
    const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  using C = Contiguous<Arch>;
  using Elements = Line<T, Arch, Along::one>;
  using V = typename Elements::V;
  const auto& op = call.op<SgdUpdate>();
  const bool has_momentum = op.momentum != 0;
  const T* w = C::in<T>(call, scratch, 0);
  const T* buf = has_momentum ? C::in<T>(call, scratch, 1) : nullptr;
  const T* g = C::in<T>(call, scratch, has_momentum ? 2 : 1);
  const auto* scalars = C::in<double>(call, scratch, has_momentum ? 3 : 2);
  T* new_w = call.out[0].as<T>();
  T* new_buf = has_momentum ? call.out[1].as<T>() : nullptr;

  const V minus_rate(-scalars[0]);
  const bool first_step = scalars[1] == 1;
  const V sign(op.maximize ? -1 : 1);
  const bool decays = op.weight_decay != 0;
  const V decay(op.weight_decay);
  const V momentum(op.momentum);
  const V fresh(1 - op.dampening);
  const std::int64_t all = call.out[0].elements();
  const std::int64_t begin = chunk * chunk_elements;
  const std::int64_t end = begin + chunk_elements < all ? begin + chunk_elements : all;
  const auto update = [&](std::int64_t place, std::int64_t count, const T* gradient) {
    const Elements elements{0, count, 1, 1};
    const auto slope = [&](auto at, const V& weight) {
      const V d = at.load(gradient, T(0)) * sign;
      return decays ? fma(weight, decay, d) : d;
    };
    if (!has_momentum)
      elements.each([&](auto at) {
        const V weight = at.load(w + place, T(0));
        at.store(new_w + place, fma(slope(at, weight), minus_rate, weight));
      });
    else
      elements.each([&](auto at) {
        const V weight = at.load(w + place, T(0));
        const V d = slope(at, weight);
        const V state = first_step ? d : fma(at.load(buf + place, T(0)), momentum, d * fresh);
        const V step = op.nesterov ? fma(state, momentum, d) : state;
        at.store(new_buf + place, state);
        at.store(new_w + place, fma(step, minus_rate, weight));
      });
  };
  GradientPieces<T, Arch>::each(call, g, begin, end, update);
}

}  // namespace

template <>
void Kernel<SgdUpdate, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t all = call.out[0].elements();
  if (all == 0) return;
  const bool wide = call.out[0].dtype == DType::float64;
  plan.cost_ns += static_cast<double>(all) * (wide ? 1.2 : 0.6);
  plan.add(wide ? &run<double> : &run<float>, (all + chunk_elements - 1) / chunk_elements);
}

}  // namespace troupe::cpu
