#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/ops/abs.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/logsigmoid.hpp>
#include <troupe/tensor/ops/mean.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/square.hpp>
#include <troupe/tensor/ops/sub.hpp>
#include <troupe/tensor/ops/sum.hpp>
#include <troupe/tensor/reduction.hpp>

// Losses that are a line of tensor algebra; cross_entropy and nll_loss are ops of their own.
namespace troupe {

namespace detail {

[[nodiscard]] inline Tensor reduced(const Tensor& each, Reduction reduction, Where where) {
  switch (reduction) {
    case Reduction::none:
      return each;
    case Reduction::mean:
      return mean(Operand(each, where));
    default:
      return sum(Operand(each, where));
  }
}

/// Broadcasting here is nearly always a mistake: [N] against [N, 1] would give N·N losses.
inline void require_like(const Operand& input, const Operand& target, std::string_view op) {
  check_defined(input, op);
  check_defined(target, op);
  if (input.is_number() || target.is_number() || input.tensor().shape() == target.tensor().shape())
    return;
  throw Error(
      ErrorCode::shape_mismatch,
      "the target has shape " + to_string(target.tensor().shape()) + ", but the input " +
          to_string(input.tensor().shape()))
      .op(op)
      .hint("reshape or squeeze one of them")
      .at(input.where().file, input.where().line);
}

}  // namespace detail

/// torch.nn.functional.mse_loss: (input − target)². Throws `shape_mismatch` for shapes that differ.
[[nodiscard]] inline Tensor mse_loss(
    const Operand& input, const Operand& target, Reduction reduction = Reduction::mean) {
  detail::require_like(input, target, "mse_loss");
  const Tensor difference = sub(input, target);
  return detail::reduced(square(Operand(difference, input.where())), reduction, input.where());
}

/// torch.nn.functional.l1_loss: |input − target|. Throws `shape_mismatch` for shapes that differ.
[[nodiscard]] inline Tensor l1_loss(
    const Operand& input, const Operand& target, Reduction reduction = Reduction::mean) {
  detail::require_like(input, target, "l1_loss");
  const Tensor difference = sub(input, target);
  return detail::reduced(abs(Operand(difference, input.where())), reduction, input.where());
}

/// torch.nn.functional.binary_cross_entropy_with_logits: −w·(p·t·log σ(x) + (1 − t)·log σ(−x)),
/// with p the `pos_weight`. Throws `shape_mismatch` for shapes that differ.
[[nodiscard]] inline Tensor binary_cross_entropy_with_logits(
    const Operand& input,
    const Operand& target,
    const Tensor& weight = {},
    Reduction reduction = Reduction::mean,
    const Tensor& pos_weight = {}) {
  detail::require_like(input, target, "binary_cross_entropy_with_logits");
  // log σ(−x) = log σ(x) − x, so one logarithm serves both.
  const auto at_call = [&](const Tensor& tensor) { return Operand(tensor, input.where()); };
  const Tensor log_p = logsigmoid(input);
  const Tensor rest = sub(1, target);
  Tensor each = sub(mul(at_call(rest), input), log_p);
  if (pos_weight)
    each = sub(mul(at_call(rest), input), mul(log_p, add(rest, mul(at_call(pos_weight), target))));
  if (weight) each = mul(at_call(each), weight);
  return detail::reduced(each, reduction, input.where());
}

}  // namespace troupe
