#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/layer_norm.hpp>
#include <troupe/tensor/ops/normalization.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <limits>
#include <optional>

namespace troupe {

/// y = x / √(mean(x²) + eps) · weight, over the last `dims` dimensions of each row.
///
/// Shape    x [rows..., normalized...]; weight [normalized...] or none → y as x; the rows'
///          1 / √(mean(x²) + eps), [rows...].
/// Dtype    float32 or float64, all the same.
/// Saves    x, weight, and the statistic.
/// Errors   `shape_mismatch` when the weight is not of the normalized shape; `invalid_argument`.
/// Source   Zhang and Sennrich 2019; torch.nn.functional.rms_norm.
struct RmsNorm : OpDefaults {
  static constexpr OpId id{435};
  static constexpr std::string_view name = "rms_norm";
  static constexpr std::uint32_t saves_inputs = 0b11;
  static constexpr std::uint32_t saves_outputs = 0b10;

  std::int64_t dims = 1;
  double eps = 1e-5;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 2);
    require_all_floating(in, {"input", "weight"});
    const LayerNorm rows{{}, dims, eps};
    rows.check(in[0]);
    const Shape& x = in[0].shape;
    if (in.size() > 1) require_shape(in[1], rows.normalized(x), "weight");
    out.push_back(in[0]);
    out.push_back({in[0].dtype, LayerNorm::first(x, rows.rows_rank(x))});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("dims", dims);
    visit.field("eps", eps);
  }
  bool operator==(const RmsNorm&) const = default;
};

/// The gradients of rms_norm: dx = rstd · (g − x̂ · mean(g · x̂)), g = dy · weight, x̂ = x · rstd;
/// with a weight also dweight = Σ dy · x̂.
///
/// Shape    dy and x alike; rstd [rows...]; weight [normalized...] or none → dx as x; dweight as
///          the weight.
/// Dtype    float32 or float64, all the same.
/// Saves    all inputs.
/// Errors   as `RmsNorm`.
/// Source   differentiation by hand; its own derivative: `normalization_curvature`.
struct RmsNormBackward : OpDefaults {
  static constexpr OpId id{436};
  static constexpr std::string_view name = "rms_norm_backward";
  static constexpr std::uint32_t saves_inputs = 0b1111;
  static constexpr std::uint32_t no_gradient = 0b0100;

  std::int64_t dims = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 3, 4);
    require_all_floating(in, {"dy", "input", "rstd", "weight"});
    const LayerNorm rows{{}, dims, 0};
    rows.check(in[1]);
    const Shape& x = in[1].shape;
    require_shape(in[0], x, "dy");
    require_shape(in[2], LayerNorm::first(x, rows.rows_rank(x)), "rstd");
    out.push_back(in[1]);
    if (in.size() == 4) {
      require_shape(in[3], rows.normalized(x), "weight");
      out.push_back(in[3]);
    }
  }
  template <class V>
  Gradients vjp(const V& v) const {
    using T = std::remove_cvref_t<decltype(v.grad(0))>;
    const RowStatistic rows(v.input_meta(2).shape, v.input_meta(1).shape);
    const bool weighted = v.input_count() == 4;
    const auto result = normalization_curvature<T>(
        v.grad(0),
        weighted ? v.grad(1) : T(),
        T(),
        v.input(0),
        v.input(1),
        T(),
        reshape(v.input(2), rows.beside),
        weighted ? v.input(3) : T(),
        rows.axes);
    Gradients gradients(v.input_count());
    gradients[0] = result.dy;
    gradients[1] = result.x;
    if (weighted && result.weight) gradients[3] = reduce_to(result.weight, v.input_meta(3));
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("dims", dims);
  }
  bool operator==(const RmsNormBackward&) const = default;
};

template <class V>
Gradients RmsNorm::vjp(const V& v) const {
  Gradients gradients(v.input_count());
  if (!v.grad(0)) return gradients;
  const bool weighted = v.input_count() > 1;
  const Operand inputs[] = {v.grad(0), v.input(0), v.output(1), weighted ? v.input(1) : v.input(0)};
  std::remove_cvref_t<decltype(v.grad(0))> outputs[2];
  apply(
      make_op(RmsNormBackward{{}, dims}), {inputs, weighted ? 4U : 3U}, {outputs, v.input_count()});
  for (std::size_t i = 0; i < v.input_count(); ++i) gradients[i] = outputs[i];
  return gradients;
}

/// torch.nn.functional.rms_norm; an undefined weight means 1. Without an eps it is the distance
/// from 1 to the next number of the input's dtype.
[[nodiscard]] inline Tensor rms_norm(
    const Operand& input,
    const Shape& normalized_shape,
    const Tensor& weight = {},
    std::optional<double> eps = std::nullopt) {
  const Tensor& x = checked_tensor(input, RmsNorm::name);
  require_normalized_shape(input, normalized_shape, RmsNorm::name);
  const double least = x.dtype() == DType::float64
                           ? std::numeric_limits<double>::epsilon()
                           : static_cast<double>(std::numeric_limits<float>::epsilon());
  const Operand inputs[] = {input, weight ? Operand(weight, input.where()) : input};
  Tensor outputs[2];
  const RmsNorm op{{}, static_cast<std::int64_t>(normalized_shape.size()), eps.value_or(least)};
  apply(make_op(op), {inputs, weight ? 2U : 1U}, outputs);
  return outputs[0];
}

}  // namespace troupe
