#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// What the ops of max pooling agree on: the windows, and how a place in one is written down. With
/// `channels_last`, which the compiler of programs alone sets, x and y are [N, H, W, C]; places lie
/// as ever.
struct MaxPool2dRule : OpDefaults {
  Dims kernel_size{1, 1};
  Dims stride{1, 1};
  Dims padding{0, 0};
  Dims dilation{1, 1};
  bool ceil_mode = false;
  bool channels_last = false;

  template <class V>
  void fields(V& visit) {
    visit.field("kernel_size", kernel_size);
    visit.field("stride", stride);
    visit.field("padding", padding);
    visit.field("dilation", dilation);
    visit.field("ceil_mode", ceil_mode);
    visit.field("channels_last", channels_last);
  }
  friend bool operator==(const MaxPool2dRule& a, const MaxPool2dRule& b) noexcept {
    return a.kernel_size == b.kernel_size && a.stride == b.stride && a.padding == b.padding &&
           a.dilation == b.dilation && a.ceil_mode == b.ceil_mode &&
           a.channels_last == b.channels_last;
  }

  /// Checks the attributes and the input; gives the output's shape.
  [[nodiscard]] Shape pooled(const Meta& input) const {
    if (input.dtype != DType::bfloat16) require_floating(input, "input");
    if (input.shape.size() != 3 || channels_last) require_rank(input, 4, "input", "[N, C, H, W]");
    require_each_at_least(kernel_size, 2, 1, "kernel_size");
    require_each_at_least(stride, 2, 1, "stride");
    require_each_at_least(padding, 2, 0, "padding");
    require_each_at_least(dilation, 2, 1, "dilation");
    Shape shape = input.shape;
    for (std::size_t i = 0; i < 2; ++i) {
      // More would make windows that see no element at all.
      if (padding[i] > (dilation[i] * (kernel_size[i] - 1) + 1) / 2)
        throw Error(
            ErrorCode::invalid_argument,
            "'padding' is " + to_string(padding) + ", but at most half of the kernel " +
                to_string(kernel_size) + " is allowed")
            .hint("pad(input, ...) first adds more");
      std::int64_t& size = shape[height_axis(shape) + i];
      size = window_places(size, kernel_size[i], stride[i], padding[i], dilation[i], ceil_mode);
    }
    return shape;
  }
  /// Which axis is the height; the width comes next.
  [[nodiscard]] std::size_t height_axis(const Shape& shape) const noexcept {
    return shape.size() - (channels_last ? 3 : 2);
  }
  /// Whether no element is in two windows.
  [[nodiscard]] bool windows_part() const noexcept {
    for (std::size_t i = 0; i < 2; ++i)
      if (stride[i] < dilation[i] * (kernel_size[i] - 1) + 1) return false;
    return true;
  }
  /// Elements of a window; as a place, none.
  [[nodiscard]] std::int64_t window_size() const noexcept {
    return kernel_size[0] * kernel_size[1];
  }
  /// Of the numbers that tell where in its window, row by row, a maximum was found.
  [[nodiscard]] DType index_dtype(bool with_none = false) const noexcept {
    return window_size() + (with_none ? 1 : 0) <= 256 ? DType::uint8 : DType::int32;
  }
};

/// y = the largest element of each window; padding counts as −∞, NaN as the largest of all. With
/// `relu`, y is made as `Relu` makes it, and where it is not above 0 the maximum has no place.
///
/// Shape    x [N, C, H, W] or [C, H, W] → y [..., OH, OW], OH = (H + 2·padding − dilation·(KH − 1)
///          − 1) / stride + 1, rounded up in `ceil_mode`; and the place of each maximum in its
///          window, `window_size()` for none.
/// Dtype    float32, float64 or bfloat16, y as x; places uint8, int32 where they would go beyond
///          255.
/// Saves    the places.
/// Errors   `shape_mismatch` when no window fits; `invalid_argument` for attributes out of range.
/// Source   torch.nn.functional.max_pool2d; the first of equal elements wins.
struct MaxPool2d : MaxPool2dRule {
  static constexpr OpId id{410};
  static constexpr std::string_view name = "max_pool2d";
  static constexpr std::uint32_t saves_outputs = 0b10;

  bool relu = false;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    const Shape shape = pooled(in[0]);
    out.push_back({in[0].dtype, shape});
    out.push_back(
        {index_dtype(relu), channels_last ? Shape{shape[0], shape[3], shape[1], shape[2]} : shape});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    MaxPool2dRule::fields(visit);
    visit.field("relu", relu);
  }
  bool operator==(const MaxPool2d&) const = default;
};

/// The y of `MaxPool2d` alone, where nobody asks for places.
///
/// Shape    as `MaxPool2d`.
/// Dtype    float32, float64 or bfloat16; y as x.
/// Saves    x: the gradient finds the places again.
/// Errors   as `MaxPool2d`.
struct MaxPool2dValues : MaxPool2dRule {
  static constexpr OpId id{417};
  static constexpr std::string_view name = "max_pool2d_values";
  static constexpr std::uint32_t saves_inputs = 1;

  bool relu = false;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    out.push_back({in[0].dtype, pooled(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    MaxPool2dRule::fields(visit);
    visit.field("relu", relu);
  }
  bool operator==(const MaxPool2dValues&) const = default;
};

/// dx: each window's gradient, added where its maximum was found; nowhere, if that has no place.
///
/// Shape    dy and places [..., OH, OW] → `input_shape`.
/// Dtype    dy float32, float64 or bfloat16, dx as dy; bfloat16 is added in float32.
/// Saves    the places.
/// Errors   `shape_mismatch` for a gradient that is not one of such a pooling.
/// Source   linear in dy.
struct MaxPool2dBackward : MaxPool2dRule {
  static constexpr OpId id{411};
  static constexpr std::string_view name = "max_pool2d_backward";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  Shape input_shape{0, 0, 0};

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    const Meta dx{in[0].dtype, input_shape};
    require_shape(in[0], pooled(dx), "dy");
    require_shape(in[1], in[0].shape, "places");
    out.push_back(dx);
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    MaxPool2dRule::fields(visit);
    visit.field("input_shape", input_shape);
  }
  bool operator==(const MaxPool2dBackward&) const = default;
};

/// y: of each window the element at a given place, 0 for none; the reverse of `MaxPool2dBackward`.
///
/// Shape    x [..., H, W] and places [..., OH, OW] → as the places.
/// Dtype    x float32, float64 or bfloat16; y as x.
/// Saves    the places.
/// Errors   `shape_mismatch` for places that are not those of such a pooling.
/// Source   linear in x.
struct MaxPool2dTake : MaxPool2dRule {
  static constexpr OpId id{412};
  static constexpr std::string_view name = "max_pool2d_take";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    const Shape shape = pooled(in[0]);
    require_shape(in[1], shape, "places");
    out.push_back({in[0].dtype, shape});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const MaxPool2dBackward op{{*this}, v.input_meta(0).shape};
    return {apply(op, v.grad(), v.input(1)), std::remove_cvref_t<decltype(v.grad())>{}};
  }
  bool operator==(const MaxPool2dTake&) const = default;
};

template <class V>
Gradients MaxPool2d::vjp(const V& v) const {
  if (!v.grad(0)) return Gradients(1);
  const MaxPool2dBackward op{{*this}, v.input_meta(0).shape};
  return {apply(op, v.grad(0), v.output(1))};
}

template <class V>
Gradients MaxPool2dValues::vjp(const V& v) const {
  const Operand x = v.input(0);
  Tensor outputs[2];
  apply(make_op(MaxPool2d{{*this}, relu}), std::span<const Operand>(&x, 1), outputs);
  const MaxPool2dBackward op{{*this}, v.input_meta(0).shape};
  return {apply(op, v.grad(), outputs[1])};
}

template <class V>
Gradients MaxPool2dBackward::vjp(const V& v) const {
  const MaxPool2dTake op{{*this}};
  return {apply(op, v.grad(), v.input(1)), std::remove_cvref_t<decltype(v.grad())>{}};
}

/// torch.nn.functional.max_pool2d. A single number stands for both axes; no stride means the
/// kernel's size.
[[nodiscard]] inline Tensor max_pool2d(
    const Operand& input,
    const Dims& kernel_size,
    const Dims& stride = {},
    const Dims& padding = {0},
    const Dims& dilation = {1},
    bool ceil_mode = false) {
  const MaxPool2d op{
      {{},
       pair_of(kernel_size),
       pair_of(stride.empty() ? kernel_size : stride),
       pair_of(padding),
       pair_of(dilation),
       ceil_mode}};
  Tensor outputs[2];
  apply(make_op(op), std::span<const Operand>(&input, 1), outputs);
  return outputs[0];
}

}  // namespace troupe
