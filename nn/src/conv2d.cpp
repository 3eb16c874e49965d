#include "optional_parameter.hpp"
#include "text.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/conv2d.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/tensor/ops/conv2d.hpp>

#include <algorithm>
#include <cmath>

namespace troupe::nn {

namespace {

std::string describe(
    std::int64_t in_channels,
    std::int64_t out_channels,
    Pair kernel_size,
    Pair stride,
    Pair padding,
    Pair dilation,
    std::int64_t groups,
    bool bias) {
  std::string text = text_of(in_channels) + ", " + text_of(out_channels) +
                     ", kernel_size=" + text_of(kernel_size) + ", stride=" + text_of(stride);
  if (padding != Pair(0)) text += ", padding=" + text_of(padding);
  if (dilation != Pair(1)) text += ", dilation=" + text_of(dilation);
  if (groups != 1) text += ", groups=" + text_of(groups);
  if (!bias) text += ", bias=False";
  return text;
}

}  // namespace

Conv2d::Conv2d(
    std::int64_t in_channels,
    std::int64_t out_channels,
    Pair kernel_size,
    Pair stride,
    Pair padding,
    Pair dilation,
    std::int64_t groups,
    bool bias)
    : Layer(
          "Conv2d",
          describe(
              in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)),
      stride_(stride.dims()),
      padding_(padding.dims()),
      dilation_(dilation.dims()),
      groups_(groups) {
  const auto fail = [this](const char* why) {
    throw Error(ErrorCode::invalid_argument, "Conv2d(" + description() + "): " + why);
  };
  if (std::min({in_channels, out_channels, groups}) < 1) fail("channels and groups begin at 1");
  if (std::min(
          {kernel_size.height,
           kernel_size.width,
           stride.height,
           stride.width,
           dilation.height,
           dilation.width}) < 1)
    fail("kernel size, stride and dilation begin at 1");
  if (std::min(padding.height, padding.width) < 0) fail("the padding is negative");
  if (in_channels % groups != 0 || out_channels % groups != 0)
    fail("the channels do not divide into the groups");

  const Shape shape{out_channels, in_channels / groups, kernel_size.height, kernel_size.width};
  weight_ = register_parameter("weight", init::kaiming_uniform(shape, std::sqrt(5.0)));
  const double bound = 1 / std::sqrt(static_cast<double>(init::fans_of(shape).in));
  bias_ = register_parameter(
      "bias", bias ? Parameter(init::uniform({out_channels}, -bound, bound)) : Parameter());
}

Tensor Conv2d::forward(const Operand& input) const {
  return conv2d(input, weight_.tensor(), tensor_of(bias_), stride_, padding_, dilation_, groups_);
}

}  // namespace troupe::nn
