#include "average_windows.hpp"

#include <troupe/tensor/ops/adaptive_avg_pool2d.hpp>

namespace troupe::vulkan {

template <>
void Kernel<AdaptiveAvgPool2d>::encode(Encoder& encoder, const AdaptiveAvgPool2d&) {
  AverageWindows{.adaptive = true}.encode_forward(encoder);
}

template <>
void Kernel<AdaptiveAvgPool2dBackward>::encode(Encoder& encoder, const AdaptiveAvgPool2dBackward&) {
  AverageWindows{.adaptive = true}.encode_backward(encoder);
}

}  // namespace troupe::vulkan
