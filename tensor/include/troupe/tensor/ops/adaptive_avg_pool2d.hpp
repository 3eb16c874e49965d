#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y = the means of windows that share a plane out into `output_size` rows and columns.
///
/// Shape    x [N, C, H, W] or [C, H, W] → y [..., OH, OW].
/// Dtype    float32 or float64; y as x.
/// Saves    nothing.
/// Errors   `shape_mismatch` for other ranks or an empty plane; `invalid_argument` for sizes below
///          1.
/// Source   torch.nn.functional.adaptive_avg_pool2d; window i covers [⌊i·H / OH⌋, ⌈(i + 1)·H /
///          OH⌉).
struct AdaptiveAvgPool2d : OpDefaults {
  static constexpr OpId id{415};
  static constexpr std::string_view name = "adaptive_avg_pool2d";

  Dims output_size{1, 1};

  [[nodiscard]] Shape pooled(const Meta& input) const {
    require_floating(input, "input");
    if (input.shape.size() != 3) require_rank(input, 4, "input", "[N, C, H, W]");
    require_each_at_least(output_size, 2, 1, "output_size");
    Shape shape = input.shape;
    for (std::size_t i = 0; i < 2; ++i) {
      std::int64_t& size = shape[shape.size() - 2 + i];
      if (size == 0)
        throw Error(
            ErrorCode::shape_mismatch, "the input " + to_string(input.shape) + " has empty planes")
            .hint("height and width must be at least 1");
      size = output_size[i];
    }
    return shape;
  }
  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    out.push_back({in[0].dtype, pooled(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("output_size", output_size);
  }
  bool operator==(const AdaptiveAvgPool2d&) const = default;
};

/// dx: each window's gradient, shared out over its elements.
///
/// Shape    dy [..., OH, OW] → `input_shape`.
/// Dtype    float32 or float64; dx as dy.
/// Saves    nothing.
/// Errors   `shape_mismatch` for a gradient that is not one of such a pooling.
/// Source   linear in dy.
struct AdaptiveAvgPool2dBackward : OpDefaults {
  static constexpr OpId id{416};
  static constexpr std::string_view name = "adaptive_avg_pool2d_backward";

  Shape input_shape{0, 0, 0};

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    require_rank_at_least(in[0], 2, "dy", "[..., OH, OW]");
    const Meta dx{in[0].dtype, input_shape};
    require_shape(in[0], forward(in[0].shape).pooled(dx), "dy");
    out.push_back(dx);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(forward(v.input_meta().shape), v.grad())};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("input_shape", input_shape);
  }
  bool operator==(const AdaptiveAvgPool2dBackward&) const = default;

 private:
  static AdaptiveAvgPool2d forward(const Shape& dy) {
    return {{}, {dy[dy.size() - 2], dy[dy.size() - 1]}};
  }
};

template <class V>
Gradients AdaptiveAvgPool2d::vjp(const V& v) const {
  AdaptiveAvgPool2dBackward op;
  op.input_shape = v.input_meta().shape;
  return {apply(op, v.grad())};
}

/// torch.nn.functional.adaptive_avg_pool2d; a single number stands for both axes.
[[nodiscard]] inline Tensor adaptive_avg_pool2d(const Operand& input, const Dims& output_size) {
  return apply(AdaptiveAvgPool2d{{}, pair_of(output_size)}, input);
}

}  // namespace troupe
