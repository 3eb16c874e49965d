#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/normalization.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y = (x − mean) / √(variance + eps) · weight + bias, over the last `dims` dimensions of each row.
///
/// Shape    x [rows..., normalized...]; weight [normalized...] or none; bias the same, with a
///          weight only → y as x; the rows' means and 1 / √(variance + eps), both [rows...].
/// Dtype    float32 or float64, all the same.
/// Saves    x, weight, and the statistics.
/// Errors   `shape_mismatch` when weight or bias are not of the normalized shape;
///          `invalid_argument`.
/// Source   Ba, Kiros and Hinton 2016; torch.nn.functional.layer_norm; the variance divides by n.
struct LayerNorm : OpDefaults {
  static constexpr OpId id{430};
  static constexpr std::string_view name = "layer_norm";
  static constexpr std::uint32_t saves_inputs = 0b011;
  static constexpr std::uint32_t saves_outputs = 0b110;

  std::int64_t dims = 1;
  double eps = 1e-5;

  static Shape first(const Shape& shape, std::size_t count) {
    return Shape(std::span<const std::int64_t>(shape.begin(), count));
  }
  [[nodiscard]] std::size_t rows_rank(const Shape& x) const {
    return x.size() - static_cast<std::size_t>(dims);
  }
  [[nodiscard]] Shape normalized(const Shape& x) const {
    return Shape(std::span<const std::int64_t>(x.begin() + rows_rank(x), x.end()));
  }
  void check(const Meta& x) const {
    require_floating(x, "input");
    require_at_least(dims, 1, "normalized dimensions");
    require_rank_at_least(x, static_cast<std::size_t>(dims), "input", "[..., normalized_shape]");
    if (elements_in(normalized(x.shape)) == 0)
      throw Error(
          ErrorCode::shape_mismatch,
          "the input " + to_string(x.shape) + " has nothing to normalize over")
          .hint("sizes of the normalized dimensions must be at least 1");
  }
  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 3);
    require_all_floating(in, {"input", "weight", "bias"});
    check(in[0]);
    const Shape& x = in[0].shape;
    if (in.size() > 1) require_shape(in[1], normalized(x), "weight");
    if (in.size() > 2) require_shape(in[2], normalized(x), "bias");
    const Meta statistic{in[0].dtype, first(x, rows_rank(x))};
    out.push_back(in[0]);
    out.push_back(statistic);
    out.push_back(statistic);
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("dims", dims);
    visit.field("eps", eps);
  }
  bool operator==(const LayerNorm&) const = default;
};

/// The gradients of layer_norm: dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)), g = dy · weight;
/// with a weight also dweight = Σ dy · x̂ and dbias = Σ dy.
///
/// Shape    dy and x alike; mean, rstd [rows...]; weight [normalized...] or none → dx as x; dweight
///          and dbias as the weight.
/// Dtype    float32 or float64, all the same.
/// Saves    all inputs.
/// Errors   as `LayerNorm`.
/// Source   differentiation by hand; its own derivative: `normalization_curvature`.
struct LayerNormBackward : OpDefaults {
  static constexpr OpId id{431};
  static constexpr std::string_view name = "layer_norm_backward";
  static constexpr std::uint32_t saves_inputs = 0b11111;
  static constexpr std::uint32_t no_gradient = 0b01100;

  std::int64_t dims = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 4, 5);
    require_all_floating(in, {"dy", "input", "mean", "rstd", "weight"});
    const LayerNorm forward{{}, dims, 0};
    forward.check(in[1]);
    const Shape& x = in[1].shape;
    const Shape rows = LayerNorm::first(x, forward.rows_rank(x));
    require_shape(in[0], x, "dy");
    require_shape(in[2], rows, "mean");
    require_shape(in[3], rows, "rstd");
    out.push_back(in[1]);
    if (in.size() == 5) {
      require_shape(in[4], forward.normalized(x), "weight");
      out.push_back(in[4]);
      out.push_back(in[4]);
    }
  }
  template <class V>
  Gradients vjp(const V& v) const {
    using T = std::remove_cvref_t<decltype(v.grad(0))>;
    const RowStatistic rows(v.input_meta(2).shape, v.input_meta(1).shape);
    const bool weighted = v.input_count() == 5;
    const auto result = normalization_curvature<T>(
        v.grad(0),
        weighted ? v.grad(1) : T(),
        weighted ? v.grad(2) : T(),
        v.input(0),
        v.input(1),
        reshape(v.input(2), rows.beside),
        reshape(v.input(3), rows.beside),
        weighted ? v.input(4) : T(),
        rows.axes);
    Gradients gradients(v.input_count());
    gradients[0] = result.dy;
    gradients[1] = result.x;
    if (weighted && result.weight) gradients[4] = reduce_to(result.weight, v.input_meta(4));
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("dims", dims);
  }
  bool operator==(const LayerNormBackward&) const = default;
};

template <class V>
Gradients LayerNorm::vjp(const V& v) const {
  Gradients gradients(v.input_count());
  if (!v.grad(0)) return gradients;
  const bool weighted = v.input_count() > 1;
  const Operand inputs[] = {
      v.grad(0), v.input(0), v.output(1), v.output(2), weighted ? v.input(1) : v.input(0)};
  std::remove_cvref_t<decltype(v.grad(0))> outputs[3];
  const std::size_t count = weighted ? 3 : 1;
  apply(make_op(LayerNormBackward{{}, dims}), {inputs, weighted ? 5U : 4U}, {outputs, count});
  for (std::size_t i = 0; i < v.input_count(); ++i) gradients[i] = outputs[i];
  return gradients;
}

/// Throws `shape_mismatch` unless the input ends in the normalized shape.
inline void require_normalized_shape(
    const Operand& input, const Shape& normalized_shape, std::string_view op) {
  const Shape& x = input.tensor().shape();
  const std::size_t dims = normalized_shape.size();
  if (dims == 0 || dims > x.size() ||
      Shape(std::span<const std::int64_t>(x.end() - dims, x.end())) != normalized_shape)
    throw Error(
        ErrorCode::shape_mismatch,
        "the input " + to_string(x) + " does not end in the normalized shape " +
            to_string(normalized_shape))
        .op(op)
        .hint("normalized_shape names the last sizes of the input, outermost first")
        .at(input.where().file, input.where().line);
}

/// torch.nn.functional.layer_norm; undefined weight and bias mean 1 and 0.
[[nodiscard]] inline Tensor layer_norm(
    const Operand& input,
    const Shape& normalized_shape,
    const Tensor& weight = {},
    const Tensor& bias = {},
    double eps = 1e-5) {
  (void)checked_tensor(input, LayerNorm::name);
  require_normalized_shape(input, normalized_shape, LayerNorm::name);
  const Operand inputs[] = {
      input,
      weight ? Operand(weight, input.where()) : input,
      bias ? Operand(bias, input.where()) : input};
  Tensor outputs[3];
  const LayerNorm op{{}, static_cast<std::int64_t>(normalized_shape.size()), eps};
  const std::size_t count = !weight ? 1 : bias ? 3 : 2;
  apply(make_op(op), {inputs, count}, outputs);
  if (bias && !weight) return outputs[0] + Operand(bias, input.where());
  return outputs[0];
}

}  // namespace troupe
