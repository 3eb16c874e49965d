#pragma once

#include "conv2d_patch.hpp"
#include "kernel.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

#include <cstdint>

namespace troupe::cpu {

/// Which op a correlation is.
enum class CorrelationKind : std::int64_t { forward, backward_input };

/// The correlation that a call asks for. `rows` are the channels of the result in a group, as in
/// the product's A.
template <class A>
struct Correlation {
  std::int64_t images = 0;
  std::int64_t groups = 1;
  std::int64_t rows = 0;
  std::int64_t channels = 0;   ///< of the source, in a group
  bool channels_last = false;  ///< in the result
  Axis y;
  Axis x;
  // Elements between weights; the taps' may be negative.
  std::int64_t weight_start = 0;
  std::int64_t weight_group = 0;
  std::int64_t weight_row = 0;
  std::int64_t weight_channel = 0;
  std::int64_t weight_y = 0;
  std::int64_t weight_x = 0;

  [[nodiscard]] std::int64_t taps() const noexcept { return y.taps * x.taps; }
  [[nodiscard]] std::int64_t depth() const noexcept { return channels * taps(); }
  [[nodiscard]] std::int64_t places() const noexcept { return y.dest * x.dest; }

  static Correlation of(const KernelCall& call, CorrelationKind kind) noexcept {
    return kind == CorrelationKind::forward ? forward(call) : backward_input(call);
  }

 private:
  static Correlation forward(const KernelCall& call) noexcept {
    const auto& op = call.op<Conv2d>();
    const Shape& x = call.in[0].shape;
    const Shape& weight = call.in[1].shape;
    const Shape& y = call.out[0].shape;
    const std::size_t height = op.channels_last ? 1 : 2;
    const Dims& step = call.in[1].strides;
    Correlation c;
    c.channels_last = op.channels_last;
    c.images = x[0];
    c.groups = op.groups;
    c.rows = weight[0] / op.groups;
    c.channels = weight[1];
    c.y = {x[2], y[height], weight[2], op.stride[0], 1, op.dilation[0], op.padding[0]};
    c.x = {x[3], y[height + 1], weight[3], op.stride[1], 1, op.dilation[1], op.padding[1]};
    c.weight_group = c.rows * step[0];
    c.weight_row = step[0];
    c.weight_channel = step[1];
    c.weight_y = step[2];
    c.weight_x = step[3];
    return c;
  }
  static Correlation backward_input(const KernelCall& call) noexcept {
    const auto& op = call.op<Conv2dBackwardInput>();
    const Shape& dy = call.in[0].shape;
    const Shape& weight = call.in[1].shape;
    const Shape& dx = call.out[0].shape;
    const std::size_t height = op.channels_last ? 1 : 2;
    const Dims& step = call.in[1].strides;
    Correlation c;
    c.channels_last = op.channels_last;
    c.images = dy[0];
    c.groups = op.groups;
    c.rows = weight[1];
    c.channels = weight[0] / op.groups;
    const auto axis = [&](std::size_t i) -> Axis {
      const std::int64_t padding = (weight[2 + i] - 1) * op.dilation[i] - op.padding[i];
      return {dy[2 + i], dx[height + i], weight[2 + i], 1, op.stride[i], op.dilation[i], padding};
    };
    c.y = axis(0);
    c.x = axis(1);
    c.weight_start = (weight[2] - 1) * step[2] + (weight[3] - 1) * step[3];
    c.weight_group = c.channels * step[0];
    c.weight_row = step[1];
    c.weight_channel = step[0];
    c.weight_y = -step[2];
    c.weight_x = -step[3];
    return c;
  }
};

}  // namespace troupe::cpu
