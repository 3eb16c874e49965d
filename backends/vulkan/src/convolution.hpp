#pragma once

#include "gemm.hpp"

#include <cstdint>

namespace troupe::vulkan {

/// CONV2D_PARAMS of conv2d.glsl, which says what they mean.
struct ConvolutionParams {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t depth = 0;
  std::uint32_t groups = 1;
  std::uint32_t column_y = 1;
  std::uint32_t column_x = 1;
  std::uint32_t column_outer = 0;
  std::int32_t column_y_step = 1;
  std::int32_t column_x_step = 1;
  std::uint32_t k_y = 1;
  std::uint32_t k_x = 1;
  std::uint32_t k_outer = 0;
  std::int32_t k_y_step = 1;
  std::int32_t k_x_step = 1;
  std::int32_t padding_y = 0;
  std::int32_t padding_x = 0;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::uint32_t x_group = 0;
  std::uint32_t c_row = 0;
  std::uint32_t c_outer = 0;
  std::uint32_t slice_depth = 0;
};

/// One of the three products that a convolution and its derivatives are.
struct Convolution {
  Value left;  ///< contiguous; packed as `panels` say
  Value x;     ///< contiguous
  Value bias;  ///< contiguous, one for each row of each group; or null
  Value out;   ///< set by `encode_convolution`
  const Epilogue* epilogue = nullptr;
  Panels panels;
  ConvolutionParams params;
  std::int64_t insert[2] = {1, 1};  ///< places along y and x for each element of x
  bool padded = false;              ///< columns reach places outside of x
  bool sliced = false;              ///< k may be cut into slices
};

/// Sizes, and steps and paddings, as the parameters hold them.
constexpr std::uint32_t size(std::int64_t n) { return static_cast<std::uint32_t>(n); }
constexpr std::int32_t step(std::int64_t n) { return static_cast<std::int32_t>(n); }

/// An input of the launch as convolutions take it: contiguous, 16-bit floats as float32.
[[nodiscard]] Value convolution_operand(Encoder& encoder, std::size_t input);

/// Encodes it into the launch's first output; a sum that goes to 16 bits is rounded there, once.
void encode_convolution(Encoder& encoder, Convolution& convolution);

}  // namespace troupe::vulkan
