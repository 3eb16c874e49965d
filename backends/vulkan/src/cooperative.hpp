#pragma once

#include "gemm.hpp"

#include <troupe/vulkan/vulkan.hpp>

#include <cstdint>
#include <span>

namespace troupe::vulkan {

/// A workgroup of matmul_cooperative.comp: subgroups side by side and one below the other, each
/// with rows × columns cooperative matrices of sums.
struct CooperativeTile {
  CooperativeMatrix matrix;
  std::uint32_t lanes = 0;      ///< of a subgroup
  std::uint32_t subgroups = 0;  ///< 0: the device has no room for a tile
  std::uint32_t across = 0;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t depth = 0;  ///< steps of k in shared memory

  static constexpr std::uint32_t sums_max = 64;  ///< matrices of sums that a subgroup holds

  [[nodiscard]] constexpr std::uint32_t invocations() const noexcept { return subgroups * lanes; }
  [[nodiscard]] constexpr std::uint32_t height() const noexcept {
    return subgroups / across * rows * matrix.m;
  }
  [[nodiscard]] constexpr std::uint32_t width() const noexcept {
    return across * columns * matrix.n;
  }
  /// What the shader declares, whichever way the operands lie.
  [[nodiscard]] std::uint32_t shared_bytes() const noexcept;
};

/// The largest of a device's cooperative matrices of a dtype that the shader can be made of; null:
/// there is none.
[[nodiscard]] const CooperativeMatrix* cooperative_matrix_for(
    std::span<const CooperativeMatrix> matrices, DType dtype) noexcept;

/// The tile that a device has room for, 128 × 128 sums if `large`, else 64 × 64.
[[nodiscard]] CooperativeTile cooperative_tile_for(
    const CooperativeMatrix& matrix,
    std::uint32_t lanes,
    bool large,
    const WorkgroupLimits& limits) noexcept;

/// How an operand's numbers come into shared memory.
struct Eights {
  bool along_k = false;  ///< neighbours in memory are numbers along k
  bool whole = false;    ///< and eights of them lie at multiples of 16 bytes, never half outside
};
/// @param rows  of the right operand, its columns
[[nodiscard]] Eights eights_of(
    const Product& product, const Part& part, bool left, std::uint32_t rows) noexcept;

/// Encodes a product of 16-bit floats by cooperative matrices, if the device has fitting ones and
/// the product enough tiles; false: nothing was encoded.
[[nodiscard]] bool encode_cooperative(Encoder& encoder, Product product);

/// Encodes a product of 16-bit floats in float32: `wide` is the product of widened operands, whose
/// result is rounded into the launch's first output.
void encode_rounded(Encoder& encoder, Product wide);

/// The numbers as float32, row-major; those of a null value are none.
[[nodiscard]] Value widened(Encoder& encoder, const Value& value);

}  // namespace troupe::vulkan
