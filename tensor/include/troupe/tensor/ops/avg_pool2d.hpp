#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// What average pooling and its gradient agree on: the windows, and what their sums are divided by.
struct AvgPool2dRule : OpDefaults {
  Dims kernel_size{1, 1};
  Dims stride{1, 1};
  Dims padding{0, 0};
  bool ceil_mode = false;
  bool count_include_pad = true;
  std::int64_t divisor_override = 0;  ///< 0: the number of elements

  template <class V>
  void fields(V& visit) {
    visit.field("kernel_size", kernel_size);
    visit.field("stride", stride);
    visit.field("padding", padding);
    visit.field("ceil_mode", ceil_mode);
    visit.field("count_include_pad", count_include_pad);
    visit.field("divisor_override", divisor_override);
  }
  friend bool operator==(const AvgPool2dRule& a, const AvgPool2dRule& b) noexcept {
    return a.kernel_size == b.kernel_size && a.stride == b.stride && a.padding == b.padding &&
           a.ceil_mode == b.ceil_mode && a.count_include_pad == b.count_include_pad &&
           a.divisor_override == b.divisor_override;
  }

  /// Checks the attributes and the input; gives the output's shape.
  [[nodiscard]] Shape pooled(const Meta& input) const {
    require_floating(input, "input");
    if (input.shape.size() != 3) require_rank(input, 4, "input", "[N, C, H, W]");
    require_each_at_least(kernel_size, 2, 1, "kernel_size");
    require_each_at_least(stride, 2, 1, "stride");
    require_each_at_least(padding, 2, 0, "padding");
    require_at_least(divisor_override, 0, "divisor_override");
    Shape shape = input.shape;
    for (std::size_t i = 0; i < 2; ++i) {
      // More would make windows that see no element at all.
      if (padding[i] > kernel_size[i] / 2)
        throw Error(
            ErrorCode::invalid_argument,
            "'padding' is " + to_string(padding) + ", but at most half of the kernel " +
                to_string(kernel_size) + " is allowed")
            .hint("pad(input, ...) first adds more");
      std::int64_t& size = shape[shape.size() - 2 + i];
      size = window_places(size, kernel_size[i], stride[i], padding[i], 1, ceil_mode);
    }
    return shape;
  }
};

/// y = the mean of each window.
///
/// Shape    x [N, C, H, W] or [C, H, W] → y [..., OH, OW], OH = (H + 2·padding − KH) / stride + 1,
///          rounded up in `ceil_mode`.
/// Dtype    float32 or float64; y as x.
/// Saves    nothing.
/// Errors   `shape_mismatch` when no window fits; `invalid_argument` for attributes out of range.
/// Source   torch.nn.functional.avg_pool2d; a sum is divided by `divisor_override`, or by the
///          elements of its window, those of the padding among them if `count_include_pad`.
struct AvgPool2d : AvgPool2dRule {
  static constexpr OpId id{413};
  static constexpr std::string_view name = "avg_pool2d";

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    out.push_back({in[0].dtype, pooled(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  bool operator==(const AvgPool2d&) const = default;
};

/// dx: each window's gradient, shared out over its elements.
///
/// Shape    dy [..., OH, OW] → `input_shape`.
/// Dtype    float32 or float64; dx as dy.
/// Saves    nothing.
/// Errors   `shape_mismatch` for a gradient that is not one of such a pooling.
/// Source   linear in dy.
struct AvgPool2dBackward : AvgPool2dRule {
  static constexpr OpId id{414};
  static constexpr std::string_view name = "avg_pool2d_backward";

  Shape input_shape{0, 0, 0};

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    const Meta dx{in[0].dtype, input_shape};
    require_shape(in[0], pooled(dx), "dy");
    out.push_back(dx);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(AvgPool2d{{*this}}, v.grad())};
  }
  template <class V>
  void fields(V& visit) {
    AvgPool2dRule::fields(visit);
    visit.field("input_shape", input_shape);
  }
  bool operator==(const AvgPool2dBackward&) const = default;
};

template <class V>
Gradients AvgPool2d::vjp(const V& v) const {
  return {apply(AvgPool2dBackward{{*this}, v.input_meta().shape}, v.grad())};
}

/// torch.nn.functional.avg_pool2d. A single number stands for both axes; no stride means the
/// kernel's size; a `divisor_override` of 0 means none.
[[nodiscard]] inline Tensor avg_pool2d(
    const Operand& input,
    const Dims& kernel_size,
    const Dims& stride = {},
    const Dims& padding = {0},
    bool ceil_mode = false,
    bool count_include_pad = true,
    std::int64_t divisor_override = 0) {
  return apply(
      AvgPool2d{
          {{},
           pair_of(kernel_size),
           pair_of(stride.empty() ? kernel_size : stride),
           pair_of(padding),
           ceil_mode,
           count_include_pad,
           divisor_override}},
      input);
}

}  // namespace troupe
