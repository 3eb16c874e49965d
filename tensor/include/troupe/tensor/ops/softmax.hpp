#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y = exp(x) / Σ exp(x) along an axis, computed from x − max x so that nothing overflows.
///
/// Shape    y as x.
/// Dtype    float32 or float64; y as x.
/// Saves    y.
/// Errors   `axis_out_of_range`; `dtype_mismatch` for integers.
/// Source   torch.nn.functional.softmax; dx = y · (dy − Σ dy·y).
struct Softmax : OpDefaults {
  static constexpr OpId id{420};
  static constexpr std::string_view name = "softmax";
  static constexpr std::uint32_t saves_outputs = 1;

  std::int64_t dim = -1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    require_floating(in[0], "input");
    check_axis(dim, in[0].shape.size());
    out.push_back(in[0]);
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
  }
  bool operator==(const Softmax&) const = default;
};

/// dx = y · (dy − Σ dy·y) along an axis: the gradient of softmax, given its output.
///
/// Shape    y and dy alike; dx as they.
/// Dtype    float32 or float64, both the same.
/// Saves    y, dy.
/// Errors   `shape_mismatch`, `axis_out_of_range`, `dtype_mismatch`.
/// Source   differentiation by hand; linear in dy.
struct SoftmaxBackward : OpDefaults {
  static constexpr OpId id{421};
  static constexpr std::string_view name = "softmax_backward";
  static constexpr std::uint32_t saves_inputs = 0b11;

  std::int64_t dim = -1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_all_floating(in, {"y", "dy"});
    require_shape(in[1], in[0].shape, "dy");
    check_axis(dim, in[0].shape.size());
    out.push_back(in[0]);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& g = v.grad();
    const auto& y = v.input(0);
    const auto& dy = v.input(1);
    const Dims axis{dim};
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = g * (dy - sum(dy * y, axis, true)) - dy * sum(g * y, axis, true);
    if (v.needs(1)) gradients[1] = apply(*this, y, g);  // its matrix is symmetric
    return gradients;
  }

  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
  }
  bool operator==(const SoftmaxBackward&) const = default;
};

template <class V>
Gradients Softmax::vjp(const V& v) const {
  return {apply(SoftmaxBackward{{}, dim}, v.output(), v.grad())};
}

/// torch.nn.functional.softmax.
[[nodiscard]] inline Tensor softmax(const Operand& input, std::int64_t dim) {
  return apply(Softmax{{}, dim}, input);
}

}  // namespace troupe
