#include "convolution.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

namespace troupe::vulkan {

// dw[o, c, tap] = Σ dy[o, place] · x[c, place under tap], over all places of all images.
template <>
void Kernel<Conv2dBackwardWeight>::encode(Encoder& encoder, const Conv2dBackwardWeight& op) {
  Convolution conv;
  conv.left = convolution_operand(encoder, 0);
  conv.x = convolution_operand(encoder, 1);
  const Shape& dy = conv.left->shape();
  const Shape& x = conv.x->shape();
  const Shape& weight = encoder.out(0)->shape();
  const std::int64_t places = dy[2] * dy[3];
  ConvolutionParams& p = conv.params;
  p.groups = size(op.groups);
  p.rows = size(weight[0] / op.groups);
  p.columns = size(weight[1] * weight[2] * weight[3]);
  p.depth = size(dy[0] * places);
  p.column_y = size(weight[2]);
  p.column_x = size(weight[3]);
  p.column_outer = size(x[2] * x[3]);
  p.column_y_step = step(op.dilation[0]);
  p.column_x_step = step(op.dilation[1]);
  p.k_y = size(dy[2]);
  p.k_x = size(dy[3]);
  p.k_outer = size(x[1] * x[2] * x[3]);
  p.k_y_step = step(op.stride[0]);
  p.k_x_step = step(op.stride[1]);
  p.padding_y = step(op.padding[0]);
  p.padding_x = step(op.padding[1]);
  p.height = size(x[2]);
  p.width = size(x[3]);
  p.x_group = size(weight[1] * x[2] * x[3]);
  p.c_row = p.columns;
  p.c_outer = size(weight[2] * weight[3]);
  conv.padded = op.padding[0] > 0 || op.padding[1] > 0;
  conv.sliced = true;

  conv.panels.rows = p.rows;
  conv.panels.depth = p.depth;
  conv.panels.row_step = conv.panels.k_inner = size(places);
  conv.panels.k_outer_step = size(dy[1] * places);
  conv.panels.sizes[0] = p.groups;
  conv.panels.steps[0] = size(p.rows * places);
  encode_convolution(encoder, conv);
}

}  // namespace troupe::vulkan
