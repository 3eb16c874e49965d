#include "convolution.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

namespace troupe::vulkan {

template <>
void Kernel<Conv2d>::encode(Encoder& encoder, const Conv2d& op) {
  Convolution conv;
  conv.x = convolution_operand(encoder, 0);
  conv.left = convolution_operand(encoder, 1);
  if (encoder.inputs() > 2) conv.bias = convolution_operand(encoder, 2);
  const Shape& x = conv.x->shape();
  const Shape& weight = conv.left->shape();
  const Shape& y = encoder.out(0)->shape();
  const std::int64_t taps = weight[2] * weight[3];
  ConvolutionParams& p = conv.params;
  p.groups = size(op.groups);
  p.rows = size(weight[0] / op.groups);
  p.columns = size(y[0] * y[2] * y[3]);
  p.depth = size(weight[1] * taps);
  p.column_y = size(y[2]);
  p.column_x = size(y[3]);
  p.column_outer = size(x[1] * x[2] * x[3]);
  p.column_y_step = step(op.stride[0]);
  p.column_x_step = step(op.stride[1]);
  p.k_y = size(weight[2]);
  p.k_x = size(weight[3]);
  p.k_outer = size(x[2] * x[3]);
  p.k_y_step = step(op.dilation[0]);
  p.k_x_step = step(op.dilation[1]);
  p.padding_y = step(op.padding[0]);
  p.padding_x = step(op.padding[1]);
  p.height = size(x[2]);
  p.width = size(x[3]);
  p.x_group = size(weight[1] * x[2] * x[3]);
  p.c_row = size(y[2] * y[3]);
  p.c_outer = size(y[1] * y[2] * y[3]);
  conv.padded = op.padding[0] > 0 || op.padding[1] > 0;

  conv.panels.rows = p.rows;
  conv.panels.depth = conv.panels.k_inner = conv.panels.row_step = p.depth;
  conv.panels.sizes[0] = p.groups;
  conv.panels.steps[0] = p.rows * p.depth;
  conv.epilogue = encoder.epilogue();
  encode_convolution(encoder, conv);
}

// The correlation of dy, with zeros between its elements where the convolution had a stride, with
// the weights turned over: the taps step backwards.
template <>
void Kernel<Conv2dBackwardInput>::encode(Encoder& encoder, const Conv2dBackwardInput& op) {
  Convolution conv;
  conv.x = convolution_operand(encoder, 0);
  conv.left = convolution_operand(encoder, 1);
  const Shape& dy = conv.x->shape();
  const Shape& weight = conv.left->shape();
  const Shape& dx = encoder.out(0)->shape();
  const std::int64_t taps = weight[2] * weight[3];
  const std::int64_t channels = weight[0] / op.groups;
  ConvolutionParams& p = conv.params;
  p.groups = size(op.groups);
  p.rows = size(weight[1]);
  p.columns = size(dx[0] * dx[2] * dx[3]);
  p.depth = size(channels * taps);
  p.column_y = size(dx[2]);
  p.column_x = size(dx[3]);
  p.column_outer = size(dy[1] * dy[2] * dy[3]);
  p.k_y = size(weight[2]);
  p.k_x = size(weight[3]);
  p.k_outer = size(dy[2] * dy[3]);
  p.k_y_step = -step(op.dilation[0]);
  p.k_x_step = -step(op.dilation[1]);
  p.padding_y = -step(op.padding[0]);
  p.padding_x = -step(op.padding[1]);
  p.height = size(dy[2]);
  p.width = size(dy[3]);
  p.x_group = size(channels * dy[2] * dy[3]);
  p.c_row = size(dx[2] * dx[3]);
  p.c_outer = size(dx[1] * dx[2] * dx[3]);
  conv.insert[0] = op.stride[0];
  conv.insert[1] = op.stride[1];
  conv.padded = true;

  conv.panels.rows = p.rows;
  conv.panels.depth = p.depth;
  conv.panels.row_step = conv.panels.k_inner = size(taps);
  conv.panels.k_outer_step = size(weight[1] * taps);
  conv.panels.sizes[0] = p.groups;
  conv.panels.steps[0] = size(channels * weight[1] * taps);
  conv.epilogue = encoder.epilogue();
  encode_convolution(encoder, conv);
}

}  // namespace troupe::vulkan
