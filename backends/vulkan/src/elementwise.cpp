#include "encoder.hpp"
#include "kernel_table.hpp"
#include "segment.hpp"

namespace troupe::vulkan {

// Segments of one step.
void encode_elementwise(Encoder& encoder) {
  const Launch& launch = encoder.launch();
  Segment segment;
  segment.inputs = static_cast<std::uint16_t>(launch.inputs.size());
  segment.steps.push_back({OpRef::share(const_cast<OpInstance*>(launch.op)), {0, 1, 2}});
  encode_segment(encoder, segment, launch.inputs, launch.outputs);
}

}  // namespace troupe::vulkan
