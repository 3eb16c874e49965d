#include "convolution.hpp"

#include <algorithm>

namespace troupe::vulkan {

namespace {

constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

/// A workgroup's tile.
struct Tiling {
  std::uint32_t group = 0;  ///< invocations
  std::uint32_t rows = 0;   ///< of a tile
  std::uint32_t columns = 0;
  std::uint32_t registers_down = 0;
  std::uint32_t registers_across = 0;
  std::uint32_t depth = 0;  ///< steps of k at a time
  std::uint32_t panel_block = 0;
};

Tiling tiling_of(const Encoder& encoder, const Convolution& convolution, bool inserted) {
  const ConvolutionParams& p = convolution.params;
  if (encoder.software()) {
    const std::uint32_t lanes = encoder.fold_group(1);
    const std::uint32_t rows = tile_rows(p.rows);
    const std::uint64_t work = std::uint64_t{p.rows} * p.columns * p.depth;
    // What it takes to look up places leaves no registers for wider tiles.
    const bool wide =
        convolution.x->dtype() == DType::float32 && rows == 32 && !convolution.padded && !inserted;
    const std::uint32_t across = tile_columns(p.columns, lanes, wide ? work : 0);
    return {lanes, rows, across * lanes, rows, across, 4, 4};
  }
  const bool large = p.rows > 64 && ceil_div(p.rows, 128) * ceil_div(p.columns, 128) >= 96;
  const SharedTile tile = shared_tile_for(
      static_cast<std::uint32_t>(size_of(convolution.x->dtype())),
      large,
      encoder.workgroup_limits());
  return {
      tile.invocations(), tile.size(), tile.size(), tile.registers, tile.registers, tile.depth, 1};
}

}  // namespace

void encode_convolution(Encoder& encoder, Convolution& convolution) {
  static const ShaderByDType in_registers("conv2d_registers");
  static const ShaderByDType tiled("conv2d_tiled");
  const DType dtype = convolution.x->dtype();
  const Shader& shader = encoder.shader(encoder.software() ? in_registers : tiled, dtype);
  const Value& c = encoder.out(0);
  if (c->meta().elements() == 0) return;

  ConvolutionParams& params = convolution.params;
  // Sizes without an element are divided by all the same.
  params.k_y = std::max(params.k_y, 1u);
  params.k_x = std::max(params.k_x, 1u);
  const bool inserted = convolution.insert[0] > 1 || convolution.insert[1] > 1;
  const Tiling tile = tiling_of(encoder, convolution, inserted);
  const Value left = pack_panels(
      encoder, convolution.left, convolution.panels, tile.rows, tile.panel_block, tile.depth);
  const std::uint64_t tiles =
      ceil_div(params.rows, tile.rows) * ceil_div(params.columns, tile.columns) * params.groups;
  const auto count = static_cast<std::uint32_t>(c->meta().elements());
  Slices slices{1, std::max(params.depth, 1u)};
  if (convolution.sliced) slices = Slices::of(tiles, params.depth, tile.depth, count);
  params.slice_depth = slices.depth;
  const bool sliced = slices.count > 1;
  const Value to = sliced ? encoder.scratch(dtype, Shape{slices.count, count}) : c;

  const bool checked =
      convolution.padded || inserted || params.depth % tile.depth != 0 || !encoder.software();
  const EpilogueShader ending(encoder, shader, sliced ? nullptr : convolution.epilogue, c);
  const std::uint32_t constants[] = {
      tile.group,
      tile.registers_down,
      tile.registers_across,
      tile.depth,
      checked ? 1u : 0u,
      static_cast<std::uint32_t>(convolution.insert[0]),
      static_cast<std::uint32_t>(convolution.insert[1]),
      convolution.bias ? 1u : 0u};
  const auto operands = ending.with(
      {read(left),
       read(convolution.x),
       read(convolution.bias ? convolution.bias : left),
       write(to)});
  encoder.dispatch(
      ending.shader(),
      constants,
      operands.all(),
      std::as_bytes(std::span(&params, 1)),
      grid_of(tiles * slices.count));
  if (sliced) sum_slices(encoder, to, slices, c, count, 1, Value(), convolution.epilogue, 0);
}

}  // namespace troupe::vulkan
