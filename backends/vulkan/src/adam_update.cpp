#include "encoder.hpp"
#include "number.hpp"
#include "prologue.hpp"

#include <troupe/tensor/ops/adam_update.hpp>

#include <cmath>

namespace troupe::vulkan {
namespace {

/// A number in two floats that together hold more of its digits than one.
struct Parts {
  float high;
  float low;

  static Parts of(double number) {
    const auto high = static_cast<float>(number);
    return {high, static_cast<float>(number - static_cast<double>(high))};
  }
  /// Of a beta, which may be 0: any power of that is less than what any other number stands for.
  static Parts of_logarithm(double beta) { return of(beta > 0 ? std::log(beta) : -1e30); }
};

}  // namespace

template <>
void Kernel<AdamUpdate>::encode(Encoder& encoder, const AdamUpdate& op) {
  static const ShaderByDType shaders("adam_update");
  const std::size_t states = op.amsgrad ? 3 : 2;
  const Value w = encoder.contiguous(encoder.in(0));
  const Value m = encoder.contiguous(encoder.in(1));
  const Value v = encoder.contiguous(encoder.in(2));
  const Value u = op.amsgrad ? encoder.contiguous(encoder.in(3)) : v;
  const GradientInput gradient(encoder, shaders);
  const Value scalars = encoder.contiguous(encoder.in(encoder.inputs() - 1));
  const DType dtype = w->dtype();
  const auto n = static_cast<std::uint32_t>(w->meta().elements());
  if (n == 0) return;
  const Spread spread = encoder.spread(n, 4);
  const auto dispatch = [&](const auto& params) {
    const std::uint32_t constants[] = {
        spread.group,
        op.amsgrad ? 1u : 0u,
        op.maximize ? 1u : 0u,
        op.weight_decay != 0 ? 1u : 0u,
        op.decoupled ? 1u : 0u,
        spread.turns};
    const OperandList operands = gradient.with(
        {read(w),
         read(m),
         read(v),
         read(u),
         gradient.operand(),
         read(scalars, 8),
         write(encoder.out(0)),
         write(encoder.out(1)),
         write(encoder.out(2)),
         write(encoder.out(states))});
    encoder.dispatch(
        gradient.shader(),
        constants,
        operands,
        std::as_bytes(std::span(&params, 1)),
        spread.grid,
        spread.groups);
  };
  if (dtype == DType::float64) {
    struct {
      std::uint32_t n;
      Number beta1, beta2, eps, decay;
    } const params{
        n,
        Number::of(dtype, op.beta1),
        Number::of(dtype, op.beta2),
        Number::of(dtype, op.eps),
        Number::of(dtype, op.weight_decay)};
    return dispatch(params);
  }
  struct {
    std::uint32_t n;
    float beta1, beta2, eps, decay, fresh1, fresh2;
    Parts log1, log2;
  } const params{
      n,
      static_cast<float>(op.beta1),
      static_cast<float>(op.beta2),
      static_cast<float>(op.eps),
      static_cast<float>(op.weight_decay),
      static_cast<float>(1 - op.beta1),
      static_cast<float>(1 - op.beta2),
      Parts::of_logarithm(op.beta1),
      Parts::of_logarithm(op.beta2)};
  dispatch(params);
}

}  // namespace troupe::vulkan
