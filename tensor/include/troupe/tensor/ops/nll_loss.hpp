#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/reduction.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// The loss −w[target] · x[target] of log-probabilities x.
///
/// Shape    input [C], [N, C] or [N, C, d1, ...]; target [], [N] or [N, d1, ...]; weight [C] or
///          none → loss [] (like the target for `none`), and the mean's divisor [].
/// Dtype    input float32 or float64, its outputs alike; target int64 or int32.
/// Saves    target, weight, and the divisor.
/// Errors   `shape_mismatch`, `dtype_mismatch`; `invalid_argument` for a class outside [0, C) that
///          is not `ignore_index`, when it runs.
/// Source   torch.nn.functional.nll_loss; linear in its input; a mean divides by the samples'
///          weights.
struct NllLoss : OpDefaults {
  static constexpr OpId id{473};
  static constexpr std::string_view name = "nll_loss";
  static constexpr std::uint32_t saves_inputs = 0b110;
  static constexpr std::uint32_t saves_outputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b110;

  Reduction reduction = Reduction::mean;
  std::int64_t ignore_index = -100;

  static std::size_t class_axis(const Shape& input) noexcept { return input.size() == 1 ? 0 : 1; }

  void check(const Meta& input, const Meta& target, const Meta* weight) const {
    require_floating(input, "input");
    require_rank_at_least(input, 1, "input", "[C], [N, C] or [N, C, d1, ...]");
    require_index(target, "target");
    Shape samples = input.shape;
    samples.erase(class_axis(input.shape));
    require_shape(target, samples, "target");
    if (!weight) return;
    require_same_dtype(*weight, "weight", input, "input");
    require_shape(*weight, {input.shape[class_axis(input.shape)]}, "weight");
  }
  [[nodiscard]] Shape loss_shape(const Shape& target) const {
    return reduction == Reduction::none ? target : Shape{};
  }
  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 3);
    check(in[0], in[1], in.size() == 3 ? &in[2] : nullptr);
    out.push_back({in[0].dtype, loss_shape(in[1].shape)});
    out.push_back({in[0].dtype, {}});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("reduction", reduction);
    visit.field("ignore_index", ignore_index);
  }
  bool operator==(const NllLoss&) const = default;
};

/// dx: −w[target] · dloss at each sample's class, 0 elsewhere.
///
/// Shape    dloss like the loss; target, the divisor, weight or none → `input_shape`.
/// Dtype    dloss float32 or float64; dx as dloss; target int64 or int32.
/// Saves    target, weight.
/// Errors   as `NllLoss`.
/// Source   linear in dloss; its vjp is `NllLoss` itself.
struct NllLossBackward : OpDefaults {
  static constexpr OpId id{474};
  static constexpr std::string_view name = "nll_loss_backward";
  static constexpr std::uint32_t saves_inputs = 0b1010;
  static constexpr std::uint32_t no_gradient = 0b1110;

  Reduction reduction = Reduction::mean;
  std::int64_t ignore_index = -100;
  Shape input_shape{0};

  [[nodiscard]] NllLoss forward() const { return {{}, reduction, ignore_index}; }
  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 3, 4);
    const Meta dx{in[0].dtype, input_shape};
    forward().check(dx, in[1], in.size() == 4 ? &in[3] : nullptr);
    require_shape(in[0], forward().loss_shape(in[1].shape), "dloss");
    require_shape(in[2], {}, "divisor");
    require_same_dtype(in[2], "divisor", in[0], "dloss");
    out.push_back(dx);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(v.input_count());
    const bool weighted = v.input_count() == 4;
    const Operand inputs[] = {v.grad(), v.input(1), weighted ? v.input(3) : v.input(1)};
    std::remove_cvref_t<decltype(v.grad())> outputs[2];
    apply(make_op(forward()), {inputs, weighted ? 3U : 2U}, outputs);
    gradients[0] = outputs[0];
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("reduction", reduction);
    visit.field("ignore_index", ignore_index);
    visit.field("input_shape", input_shape);
  }
  bool operator==(const NllLossBackward&) const = default;
};

template <class V>
Gradients NllLoss::vjp(const V& v) const {
  Gradients gradients(v.input_count());
  if (!v.grad(0)) return gradients;
  const bool weighted = v.input_count() == 3;
  const Operand inputs[] = {v.grad(0), v.input(1), v.output(1), weighted ? v.input(2) : v.input(1)};
  gradients[0] = apply(
      make_op(NllLossBackward{{}, reduction, ignore_index, v.input_meta(0).shape}),
      {inputs, weighted ? 4U : 3U});
  return gradients;
}

/// torch.nn.functional.nll_loss, without its two deprecated arguments; an undefined weight means
/// that all classes count alike.
[[nodiscard]] inline Tensor nll_loss(
    const Operand& input,
    const Operand& target,
    const Tensor& weight = {},
    std::int64_t ignore_index = -100,
    Reduction reduction = Reduction::mean) {
  const Operand inputs[] = {input, target, weight ? Operand(weight, input.where()) : input};
  Tensor outputs[2];
  apply(make_op(NllLoss{{}, reduction, ignore_index}), {inputs, weight ? 3U : 2U}, outputs);
  return outputs[0];
}

}  // namespace troupe
