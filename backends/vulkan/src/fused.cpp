#include "fused.hpp"

#include "epilogue.hpp"
#include "vulkan_device.hpp"

#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>

namespace troupe::vulkan {

bool has_room_for(const Fused& fused, std::span<const Meta> inputs, const Meta& result) noexcept {
  const OpId head = fused.head->info().id;
  const bool is_matrix = head == Matmul::id || head == Linear::id;
  if (!is_matrix && head != Conv2d::id && head != Conv2dBackwardInput::id) return false;
  if (fused.keeps_head || fused.segment.outputs.size() > 1 || fused.segment.inputs > 2 ||
      (result.dtype != DType::float32 && result.dtype != DType::float64))
    return false;
  if (fused.segment.inputs == 1) return true;
  const Shape& other = inputs.back().shape;
  return other == result.shape || elements_in(other) == 1 ||
         (is_matrix && other.size() == 1 && !result.shape.empty() &&
          other[0] == result.shape.back());
}

void encode_fused(VulkanDevice& device, const Launch& launch, Sink& sink) {
  const Fused& fused = *static_cast<const Fused*>(launch.op->attributes());
  if (!fused.head) {
    Encoder encoder(device, launch, sink);
    return encode_segment(encoder, fused.segment, launch.inputs, launch.outputs);
  }
  Launch head = launch;
  head.op = fused.head.get();
  head.inputs = launch.inputs.first(fused.head_inputs);
  Epilogue epilogue;
  epilogue.segment = fused.segment;
  if (fused.segment.inputs > 1) epilogue.other = launch.inputs.back();
  Encoder encoder(device, head, sink, &epilogue);
  device.encode(encoder);
}

}  // namespace troupe::vulkan
