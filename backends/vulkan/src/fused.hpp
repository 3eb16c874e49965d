#pragma once

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/fused.hpp>

#include <span>

namespace troupe::vulkan {

class VulkanDevice;
class Sink;

/// Encodes a launch of a fused op: a segment as one dispatch, a product that ends with one, or a
/// fold that begins with one.
void encode_fused(VulkanDevice& device, const Launch& launch, Sink& sink);

/// Encodes a launch of an update that begins with a prologue.
void encode_update(VulkanDevice& device, const Launch& launch, Sink& sink);

/// Whether a product's shader has room for the epilogue: see `Epilogue`.
[[nodiscard]] bool has_room_for(
    const Fused& fused, std::span<const Meta> inputs, const Meta& result) noexcept;
/// Whether a fold's shader has room for the chain that it ends, and gains by it: see `FoldedChain`.
///
/// @param software  the device is a processor that plays a GPU
[[nodiscard]] bool has_room_for_chain(
    const Fused& fused, std::span<const Meta> inputs, const Meta& folded, bool software) noexcept;

}  // namespace troupe::vulkan
