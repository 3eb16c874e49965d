#pragma once

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/fused.hpp>

#include <span>

namespace troupe::vulkan {

class VulkanDevice;
class Sink;

/// Encodes a launch of a fused op: a segment as one dispatch, or a product that ends with one.
void encode_fused(VulkanDevice& device, const Launch& launch, Sink& sink);

/// Whether a product's shader has room for the epilogue: see `Epilogue`.
[[nodiscard]] bool has_room_for(
    const Fused& fused, std::span<const Meta> inputs, const Meta& result) noexcept;

}  // namespace troupe::vulkan
