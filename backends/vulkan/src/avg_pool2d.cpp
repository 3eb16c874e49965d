#include "average_windows.hpp"

#include <troupe/tensor/ops/avg_pool2d.hpp>

namespace troupe::vulkan {
namespace {

AverageWindows windows_of(const AvgPool2dRule& rule) {
  AverageWindows windows;
  for (std::size_t i = 0; i < 2; ++i) {
    windows.kernel[i] = static_cast<std::uint32_t>(rule.kernel_size[i]);
    windows.stride[i] = static_cast<std::uint32_t>(rule.stride[i]);
    windows.padding[i] = static_cast<std::int32_t>(rule.padding[i]);
  }
  windows.divisor = static_cast<std::uint32_t>(rule.divisor_override);
  windows.count_include_pad = rule.count_include_pad ? 1 : 0;
  return windows;
}

}  // namespace

template <>
void Kernel<AvgPool2d>::encode(Encoder& encoder, const AvgPool2d& op) {
  windows_of(op).encode_forward(encoder);
}

template <>
void Kernel<AvgPool2dBackward>::encode(Encoder& encoder, const AvgPool2dBackward& op) {
  windows_of(op).encode_backward(encoder);
}

}  // namespace troupe::vulkan
