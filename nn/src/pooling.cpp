#include "text.hpp"

#include <troupe/nn/pooling.hpp>
#include <troupe/tensor/ops/adaptive_avg_pool2d.hpp>
#include <troupe/tensor/ops/avg_pool2d.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>

namespace troupe::nn {

namespace {

std::string describe(Pair kernel_size, Pair stride, Pair padding) {
  return "kernel_size=" + text_of(kernel_size) + ", stride=" + text_of(stride) +
         ", padding=" + text_of(padding);
}

}  // namespace

MaxPool2d::MaxPool2d(
    Pair kernel_size, std::optional<Pair> stride, Pair padding, Pair dilation, bool ceil_mode)
    : Layer(
          "MaxPool2d",
          describe(kernel_size, stride.value_or(kernel_size), padding) +
              ", dilation=" + text_of(dilation) + ", ceil_mode=" + text_of(ceil_mode)),
      kernel_size_(kernel_size),
      stride_(stride.value_or(kernel_size)),
      padding_(padding),
      dilation_(dilation),
      ceil_mode_(ceil_mode) {}

Tensor MaxPool2d::forward(const Operand& input) const {
  return max_pool2d(
      input, kernel_size_.dims(), stride_.dims(), padding_.dims(), dilation_.dims(), ceil_mode_);
}

AvgPool2d::AvgPool2d(
    Pair kernel_size,
    std::optional<Pair> stride,
    Pair padding,
    bool ceil_mode,
    bool count_include_pad)
    : Layer("AvgPool2d", describe(kernel_size, stride.value_or(kernel_size), padding)),
      kernel_size_(kernel_size),
      stride_(stride.value_or(kernel_size)),
      padding_(padding),
      ceil_mode_(ceil_mode),
      count_include_pad_(count_include_pad) {}

Tensor AvgPool2d::forward(const Operand& input) const {
  return avg_pool2d(
      input, kernel_size_.dims(), stride_.dims(), padding_.dims(), ceil_mode_, count_include_pad_);
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Pair output_size)
    : Layer("AdaptiveAvgPool2d", "output_size=" + text_of(output_size)),
      output_size_(output_size) {}

Tensor AdaptiveAvgPool2d::forward(const Operand& input) const {
  return adaptive_avg_pool2d(input, output_size_.dims());
}

}  // namespace troupe::nn
