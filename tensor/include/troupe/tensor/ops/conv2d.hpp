#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/product.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y[n, o, i, j] = bias[o] + Σ x[n, c, i·stride + k·dilation − padding, …] · weight[o, c, k, l],
/// over the channels c of o's group and all places k, l of the kernel; outside of x is 0.
///
/// Shape    x [N, C, H, W], weight [O, C / groups, KH, KW], bias [O] or none
///          → [N, O, OH, OW], OH = (H + 2·padding − dilation·(KH − 1) − 1) / stride + 1.
/// Dtype    floating, x, weight and y the same; 16-bit floats as in `matmul`, the bias added before
///          the sum is rounded. The bias as they, or float32 where they have 16 bits.
/// Saves    x, weight.
/// Rounding on a CPU, float32 kernels of 3×3 at stride 1 go by tiles of 4×4 (Winograd) where the
///          shape makes that faster, here and in both gradients. Their errors are up to three times
///          those of the plain sum, and relative to the largest sums of the tile. An infinity or a
///          NaN may make NaNs of all results in the tiles that look at it; of a weight, of all
///          results of its channel. In bfloat16, denormals may count as 0, and an infinity or a NaN
///          may make NaNs of all that its channel has in the weight's gradient.
/// Errors   `shape_mismatch` for channels, groups or kernels that do not fit; `invalid_argument`
///          for a stride, dilation or group count below 1.
/// Layout   with `channels_last`, which the compiler of programs alone sets, y [N, OH, OW, O].
/// Source   torch.nn.functional.conv2d (which computes a cross-correlation).
struct Conv2d : OpDefaults {
  static constexpr OpId id{402};
  static constexpr std::string_view name = "conv2d";
  static constexpr std::uint32_t saves_inputs = 0b11;

  Dims stride{1, 1};
  Dims padding{0, 0};
  Dims dilation{1, 1};
  std::int64_t groups = 1;
  bool channels_last = false;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 3);
    require_factors(in.first(2), {"input", "weight"});
    if (in.size() == 3 && (is_computable(in[0].dtype) || in[2].dtype != DType::float32))
      require_same_dtype(in[2], "bias", in[0], "input");
    require_rank(in[0], 4, "input", "[N, C, H, W]");
    require_rank(in[1], 4, "weight", "[O, C / groups, KH, KW]");
    check_attributes();
    const Shape& x = in[0].shape;
    const Shape& weight = in[1].shape;
    if (weight[0] % groups != 0)
      throw Error(
          ErrorCode::shape_mismatch,
          std::to_string(weight[0]) + " output channels do not divide into " +
              std::to_string(groups) + " groups")
          .hint("choose a number of groups that divides both channel counts");
    if (x[1] != weight[1] * groups) {
      Error error(
          ErrorCode::shape_mismatch,
          "the input " + to_string(x) + " has " + std::to_string(x[1]) +
              " channels, but the weight " + to_string(weight) + " with groups = " +
              std::to_string(groups) + " takes " + std::to_string(weight[1] * groups));
      error.hint(
          x[3] == weight[1] * groups
              ? "channels come second: permute(x, {0, 3, 1, 2}) turns [N, H, W, C] into that"
              : "the weight is [out_channels, in_channels / groups, height, width]");
      throw error;
    }
    if (in.size() == 3) require_shape(in[2], {weight[0]}, "bias");
    const std::int64_t height = places(x, weight, 0), width = places(x, weight, 1);
    if (channels_last)
      out.push_back({in[0].dtype, {x[0], height, width, weight[0]}});
    else
      out.push_back({in[0].dtype, {x[0], weight[0], height, width}});
  }

  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("stride", stride);
    visit.field("padding", padding);
    visit.field("dilation", dilation);
    visit.field("groups", groups);
    visit.field("channels_last", channels_last);
  }
  bool operator==(const Conv2d&) const = default;

  void check_attributes() const {
    require_each_at_least(stride, 2, 1, "stride");
    require_each_at_least(padding, 2, 0, "padding");
    require_each_at_least(dilation, 2, 1, "dilation");
    require_at_least(groups, 1, "groups");
  }
  /// The output's size along height (0) or width (1).
  [[nodiscard]] std::int64_t places(const Shape& x, const Shape& weight, std::size_t axis) const {
    return window_places(
        x[2 + axis], weight[2 + axis], stride[axis], padding[axis], dilation[axis]);
  }
  /// Throws unless `dy` is the shape of conv2d's output for this input and weight.
  void check_gradient(const Shape& dy, const Shape& x, const Shape& weight) const {
    const Shape expected{x[0], weight[0], places(x, weight, 0), places(x, weight, 1)};
    if (dy != expected || x[1] != weight[1] * groups)
      throw Error(
          ErrorCode::shape_mismatch,
          "a gradient " + to_string(dy) + " is not one of a convolution of " + to_string(x) +
              " with " + to_string(weight))
          .hint("give the shapes of the forward call");
  }
};

/// dx: the gradient of conv2d with respect to its input; a convolution transposed.
///
/// Shape    dy [N, O, OH, OW], weight [O, C / groups, KH, KW] → `input_shape`.
/// Dtype    floating, both the same; 16-bit floats as in `matmul`.
/// Saves    dy, weight.
/// Errors   `shape_mismatch` for shapes that no such convolution has.
/// Layout   with `channels_last`, which the compiler of programs alone sets, dx [N, H, W, C].
/// Source   torch.nn.grad.conv2d_input; bilinear in dy and weight.
struct Conv2dBackwardInput : OpDefaults {
  static constexpr OpId id{403};
  static constexpr std::string_view name = "conv2d_backward_input";
  static constexpr std::uint32_t saves_inputs = 0b11;

  Dims stride{1, 1};
  Dims padding{0, 0};
  Dims dilation{1, 1};
  std::int64_t groups = 1;
  Shape input_shape{0, 0, 0, 0};
  bool channels_last = false;

  [[nodiscard]] Conv2d forward() const { return {{}, stride, padding, dilation, groups}; }

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_factors(in, {"dy", "weight"});
    require_rank(in[0], 4, "dy", "[N, O, OH, OW]");
    require_rank(in[1], 4, "weight", "[O, C / groups, KH, KW]");
    require_each_at_least(input_shape, 4, 0, "input_shape");
    forward().check_attributes();
    forward().check_gradient(in[0].shape, input_shape, in[1].shape);
    const Shape& x = input_shape;
    out.push_back({in[0].dtype, channels_last ? Shape{x[0], x[2], x[3], x[1]} : x});
  }

  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("stride", stride);
    visit.field("padding", padding);
    visit.field("dilation", dilation);
    visit.field("groups", groups);
    visit.field("input_shape", input_shape);
    visit.field("channels_last", channels_last);
  }
  bool operator==(const Conv2dBackwardInput&) const = default;
};

/// dweight: the gradient of conv2d with respect to its weight.
///
/// Shape    dy [N, O, OH, OW], x [N, C, H, W] → `weight_shape`.
/// Dtype    floating, both the same; 16-bit floats as in `matmul`.
/// Saves    dy, x.
/// Errors   `shape_mismatch` for shapes that no such convolution has.
/// Source   torch.nn.grad.conv2d_weight; bilinear in dy and x.
struct Conv2dBackwardWeight : OpDefaults {
  static constexpr OpId id{404};
  static constexpr std::string_view name = "conv2d_backward_weight";
  static constexpr std::uint32_t saves_inputs = 0b11;

  Dims stride{1, 1};
  Dims padding{0, 0};
  Dims dilation{1, 1};
  std::int64_t groups = 1;
  Shape weight_shape{0, 0, 0, 0};

  [[nodiscard]] Conv2d forward() const { return {{}, stride, padding, dilation, groups}; }

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_factors(in, {"dy", "input"});
    require_rank(in[0], 4, "dy", "[N, O, OH, OW]");
    require_rank(in[1], 4, "input", "[N, C, H, W]");
    require_each_at_least(weight_shape, 4, 0, "weight_shape");
    forward().check_attributes();
    forward().check_gradient(in[0].shape, in[1].shape, weight_shape);
    out.push_back({in[0].dtype, weight_shape});
  }

  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("stride", stride);
    visit.field("padding", padding);
    visit.field("dilation", dilation);
    visit.field("groups", groups);
    visit.field("weight_shape", weight_shape);
  }
  bool operator==(const Conv2dBackwardWeight&) const = default;
};

// The three are each other's derivatives: each is linear in either input.

template <class V>
Gradients Conv2d::vjp(const V& v) const {
  const auto& dy = v.grad();
  Gradients gradients(v.input_count());
  if (v.needs(0))
    gradients[0] = apply(
        Conv2dBackwardInput{{}, stride, padding, dilation, groups, v.input_meta(0).shape},
        dy,
        v.input(1));
  if (v.needs(1))
    gradients[1] = apply(
        Conv2dBackwardWeight{{}, stride, padding, dilation, groups, v.input_meta(1).shape},
        dy,
        v.input(0));
  if (v.input_count() == 3 && v.needs(2)) {
    const Meta& bias = v.input_meta(2);
    const Dims axes{0, 2, 3};
    gradients[2] = is_computable(v.input_meta(0).dtype)
                       ? sum(dy, axes, false)
                       : reduce_to(sum(cast(dy, DType::float32), axes, false), bias);
  }
  return gradients;
}

template <class V>
Gradients Conv2dBackwardInput::vjp(const V& v) const {
  const auto& g = v.grad();
  Gradients gradients(2);
  if (v.needs(0)) gradients[0] = apply(forward(), g, v.input(1));
  if (v.needs(1))
    gradients[1] = apply(
        Conv2dBackwardWeight{{}, stride, padding, dilation, groups, v.input_meta(1).shape},
        v.input(0),
        g);
  return gradients;
}

template <class V>
Gradients Conv2dBackwardWeight::vjp(const V& v) const {
  const auto& g = v.grad();
  Gradients gradients(2);
  if (v.needs(0)) gradients[0] = apply(forward(), v.input(1), g);
  if (v.needs(1))
    gradients[1] = apply(
        Conv2dBackwardInput{{}, stride, padding, dilation, groups, v.input_meta(1).shape},
        v.input(0),
        g);
  return gradients;
}

/// torch.nn.functional.conv2d. A single number for stride, padding or dilation stands for both
/// axes; an undefined bias means none. One image [C, H, W] gives one image. Of float32 in
/// `Autocast`'s dtype, but for the bias, which is added in float32.
[[nodiscard]] inline Tensor conv2d(
    const Operand& input,
    const Operand& weight,
    const Tensor& bias = {},
    const Dims& stride = {1},
    const Dims& padding = {0},
    const Dims& dilation = {1},
    std::int64_t groups = 1) {
  const Conv2d op{{}, pair_of(stride), pair_of(padding), pair_of(dilation), groups};
  const bool single = checked_tensor(input, Conv2d::name).rank() == 3;
  const Tensor batch = single ? unsqueeze(input, 0) : Tensor();
  const Operand x = single ? Operand(batch, input.where()) : input;
  const Operand operands[] = {x, weight, Operand(bias, input.where())};
  const Tensor y = apply_product(make_op(op), std::span(operands).first(bias ? 3 : 2));
  return single ? squeeze(Operand(y, input.where()), 0) : y;
}

}  // namespace troupe
