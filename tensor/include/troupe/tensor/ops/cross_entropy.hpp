#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/reduction.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// What the three ops of cross entropy agree on.
///
/// With x the logits of one sample, p = softmax(x) and q its target distribution (one at the class,
/// or the given probabilities; mixed with 1/C each by `label_smoothing`), the loss is −Σ w·q·log p.
/// A mean divides by the summed weights of the samples' classes, or by their number for
/// probabilities.
struct CrossEntropyRule : OpDefaults {
  Reduction reduction = Reduction::mean;
  std::int64_t ignore_index = -100;  ///< samples of this class count for nothing
  double label_smoothing = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("reduction", reduction);
    visit.field("ignore_index", ignore_index);
    visit.field("label_smoothing", label_smoothing);
  }
  friend bool operator==(const CrossEntropyRule& a, const CrossEntropyRule& b) noexcept {
    return a.reduction == b.reduction && a.ignore_index == b.ignore_index &&
           a.label_smoothing == b.label_smoothing;
  }

  static std::size_t class_axis(const Shape& input) noexcept { return input.size() == 1 ? 0 : 1; }

  /// The shape of one loss for each sample: the input's without the classes.
  static Shape samples(const Shape& input) {
    Shape shape = input;
    shape.erase(class_axis(input));
    return shape;
  }
  /// Of each sample the logits' maximum; after them, of each the log of Σ exp(x − maximum).
  static Shape statistics(const Shape& input) {
    Shape shape = samples(input);
    shape.insert(0, 2);
    return shape;
  }
  [[nodiscard]] Shape loss_shape(const Shape& input) const {
    return reduction == Reduction::none ? samples(input) : Shape{};
  }
  void check(const Meta& input, const Meta& target, const Meta* weight) const {
    require_floating(input, "input");
    require_rank_at_least(input, 1, "input", "[C], [N, C] or [N, C, d1, ...]");
    const std::int64_t classes = input.shape[class_axis(input.shape)];
    if (classes == 0)
      throw Error(
          ErrorCode::shape_mismatch, "the input " + to_string(input.shape) + " has no classes")
          .hint("classes are dimension 1, or the only one");
    if (is_floating(target.dtype)) {
      require_same_dtype(target, "target", input, "input");
      require_shape(target, input.shape, "target");
    } else {
      require_index(target, "target");
      const Shape expected = samples(input.shape);
      if (target.shape != expected) {
        Error error(
            ErrorCode::shape_mismatch,
            "the target has shape " + to_string(target.shape) + ", but logits " +
                to_string(input.shape) + " need class indices " + to_string(expected) +
                " or probabilities " + to_string(input.shape));
        error.hint(
            elements_in(target.shape) == elements_in(expected)
                ? "reshape or squeeze the target"
                : "give one class for each row of the input, or one probability for each element");
        throw error;
      }
    }
    if (weight) {
      require_same_dtype(*weight, "weight", input, "input");
      require_shape(*weight, {classes}, "weight");
    }
    if (!(label_smoothing >= 0 && label_smoothing <= 1))
      throw Error(
          ErrorCode::invalid_argument,
          "'label_smoothing' is " + std::to_string(label_smoothing) + ", but must be from 0 to 1")
          .hint("0 turns it off, 0.1 is a usual value");
  }
};

/// The loss −Σ w·q·log softmax(x) of logits against classes or probabilities, in one pass.
///
/// Shape    input [C], [N, C] or [N, C, d1, ...]; target: class indices [], [N] or [N, d1, ...], or
///          probabilities like input; weight [C] or none → loss [] (like the indices for `none`),
///          statistics [2, N, d1, ...]: see `statistics()`, and the mean's divisor [].
/// Dtype    input float32 or float64, its outputs alike; target int64, int32, or as input.
/// Saves    input, target, weight, and the outputs but the loss.
/// Errors   `shape_mismatch`, `dtype_mismatch`; `invalid_argument` for a class outside [0, C) that
///          is not `ignore_index`, when it runs.
/// Source   torch.nn.functional.cross_entropy; dx = w̄·p − w·q for each sample, w̄ = Σ w·q.
struct CrossEntropy : CrossEntropyRule {
  static constexpr OpId id{470};
  static constexpr std::string_view name = "cross_entropy";
  static constexpr std::uint32_t saves_inputs = 0b111;
  static constexpr std::uint32_t saves_outputs = 0b110;
  static constexpr std::uint32_t no_gradient = 0b100;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 3);
    check(in[0], in[1], in.size() == 3 ? &in[2] : nullptr);
    out.push_back({in[0].dtype, loss_shape(in[0].shape)});
    out.push_back({in[0].dtype, statistics(in[0].shape)});
    out.push_back({in[0].dtype, {}});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  bool operator==(const CrossEntropy&) const = default;
};

/// dx: the gradient of cross entropy with respect to the logits.
///
/// Shape    dloss like the loss; input, target and the last two outputs of `CrossEntropy`; weight
///          or none → dx as input.
/// Dtype    as `CrossEntropy`.
/// Saves    all inputs.
/// Errors   as `CrossEntropy`.
/// Source   as `CrossEntropy`. As a function of the logits it is differentiated through them alone:
///          the statistics only repeat what they say.
struct CrossEntropyBackward : CrossEntropyRule {
  static constexpr OpId id{471};
  static constexpr std::string_view name = "cross_entropy_backward";
  static constexpr std::uint32_t saves_inputs = 0b111111;
  static constexpr std::uint32_t no_gradient = 0b111100;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 5, 6);
    check(in[1], in[2], in.size() == 6 ? &in[5] : nullptr);
    require_shape(in[0], loss_shape(in[1].shape), "dloss");
    require_same_dtype(in[0], "dloss", in[1], "input");
    require_shape(in[3], statistics(in[1].shape), "statistics");
    require_same_dtype(in[3], "statistics", in[1], "input");
    require_shape(in[4], {}, "divisor");
    require_same_dtype(in[4], "divisor", in[1], "input");
    out.push_back(in[1]);
  }
  template <class V>
  Gradients vjp(const V& v) const;

  bool operator==(const CrossEntropyBackward&) const = default;
};

/// The gradients of `CrossEntropyBackward` with respect to the logits and to dloss: the curvature
/// of the loss times a direction g, w̄·p·(g − Σ p·g), and g's product with the gradient.
///
/// Shape    g as input, then the inputs of `CrossEntropyBackward` → as input, and as dloss.
/// Dtype    as `CrossEntropy`.
/// Saves    nothing: third derivatives come from log_softmax and nll_loss.
/// Errors   as `CrossEntropy`.
/// Source   differentiation by hand.
struct CrossEntropyCurvature : CrossEntropyRule {
  static constexpr OpId id{472};
  static constexpr std::string_view name = "cross_entropy_curvature";

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 6, 7);
    check(in[2], in[3], in.size() == 7 ? &in[6] : nullptr);
    require_shape(in[0], in[2].shape, "g");
    require_same_dtype(in[0], "g", in[2], "input");
    require_shape(in[1], loss_shape(in[2].shape), "dloss");
    require_shape(in[4], statistics(in[2].shape), "statistics");
    require_shape(in[5], {}, "divisor");
    out.push_back(in[2]);
    out.push_back(in[1]);
  }
  bool operator==(const CrossEntropyCurvature&) const = default;
};

template <class V>
Gradients CrossEntropy::vjp(const V& v) const {
  Gradients gradients(v.input_count());
  if (!v.grad(0)) return gradients;
  const bool weighted = v.input_count() == 3;
  if (v.needs(0)) {
    const CrossEntropyBackward backward{{*this}};
    gradients[0] =
        weighted
            ? apply(
                  backward, v.grad(0), v.input(0), v.input(1), v.output(1), v.output(2), v.input(2))
            : apply(backward, v.grad(0), v.input(0), v.input(1), v.output(1), v.output(2));
  }
  if (v.needs(1) && is_floating(v.input_meta(1).dtype)) {
    const std::size_t axis = class_axis(v.input_meta(0).shape);
    auto dloss = v.grad(0);
    if (reduction == Reduction::none)
      dloss = unsqueeze(dloss, static_cast<std::int64_t>(axis));
    else if (reduction == Reduction::mean)
      dloss = dloss / v.output(2);
    auto negative = -log_softmax(v.input(0), static_cast<std::int64_t>(axis));
    if (weighted) {
      Shape beside = Dims::filled(v.input_meta(0).shape.size(), 1);
      beside[axis] = v.input_meta(0).shape[axis];
      negative = negative * reshape(v.input(2), beside);
    }
    gradients[1] = negative * dloss * (1 - label_smoothing);
  }
  return gradients;
}

template <class V>
Gradients CrossEntropyBackward::vjp(const V& v) const {
  Gradients gradients(v.input_count());
  const CrossEntropyCurvature curvature{{*this}};
  Operand inputs[7] = {
      v.grad(), v.input(0), v.input(1), v.input(2), v.input(3), v.input(4), v.grad()};
  if (v.input_count() == 6) inputs[6] = v.input(5);
  std::remove_cvref_t<decltype(v.grad())> outputs[2];
  apply(make_op(curvature), {inputs, v.input_count() + 1}, outputs);
  gradients[0] = outputs[1];
  gradients[1] = outputs[0];
  if (v.needs(2) && is_floating(v.input_meta(2).dtype))
    throw Error(
        ErrorCode::not_differentiable,
        "the second derivative of cross_entropy by target probabilities is not offered")
        .hint(
            "write the loss as -(target * log_softmax(input, 1)).sum(): each part has derivatives");
  return gradients;
}

/// torch.nn.functional.cross_entropy, without its two deprecated arguments; an undefined weight
/// means that all classes count alike.
[[nodiscard]] inline Tensor cross_entropy(
    const Operand& input,
    const Operand& target,
    const Tensor& weight = {},
    std::int64_t ignore_index = -100,
    Reduction reduction = Reduction::mean,
    double label_smoothing = 0) {
  const CrossEntropy op{{{}, reduction, ignore_index, label_smoothing}};
  const Operand inputs[] = {input, target, weight ? Operand(weight, input.where()) : input};
  Tensor outputs[3];
  apply(make_op(op), {inputs, weight ? 3U : 2U}, outputs);
  return outputs[0];
}

}  // namespace troupe
