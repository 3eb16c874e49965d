#include "convolution.hpp"

#include "cooperative.hpp"
#include "copy.hpp"
#include "trials.hpp"

#include <algorithm>

namespace troupe::vulkan {

namespace {

class ConvolutionEncoder final : public TiledLaunch {
 public:
  ConvolutionEncoder(Encoder& encoder, const Convolution& convolution)
      : encoder_(encoder), convolution_(convolution) {
    static const ShaderByDType in_registers("conv2d_registers");
    static const ShaderByDType tiled("conv2d_tiled");
    const DType dtype = convolution_.x->dtype();
    const ConvolutionParams& p = convolution_.params;
    inserted_ = convolution_.insert[0] > 1 || convolution_.insert[1] > 1;
    shared_ = !encoder_.software();
    shader_ = &encoder_.shader(shared_ ? tiled : in_registers, dtype);
    if (shared_) {
      const bool large = p.rows > 64 && ceil_div(p.rows, 128) * ceil_div(p.columns, 128) >= 96;
      reference_ = shared_tile_for(element_bytes(), large, encoder_.workgroup_limits());
      return;
    }
    const std::uint32_t lanes = encoder_.fold_group(1);
    const std::uint32_t rows = tile_rows(p.rows);
    // What it takes to look up places leaves no registers for wider tiles.
    const bool wide = dtype == DType::float32 && rows == 32 && !convolution_.padded && !inserted_;
    reference_ = {lanes, rows, tile_columns(p.columns, lanes, wide ? work() / p.groups : 0), 4};
  }

  void encode() {
    if (elements() == 0) return;
    const TiledOperands operands{
        convolution_.left, convolution_.x, convolution_.bias, convolution_.out};
    encode_tiled(encoder_, key(), *this, operands, convolution_.params.depth, work());
  }

  [[nodiscard]] std::vector<Tile> candidates(bool free) const override {
    // Of the sizes only what the key tells of them.
    const std::uint64_t rows = std::uint64_t{1} << TileKey::class_of(convolution_.params.rows);
    const std::uint64_t columns = std::uint64_t{1}
                                  << TileKey::class_of(convolution_.params.columns);
    std::vector<Tile> tiles = shared_ ? shared_tiles(
                                            reference_,
                                            rows,
                                            columns,
                                            slices().count > 1,
                                            element_bytes(),
                                            encoder_.workgroup_limits())
                                      : register_tiles(reference_, rows, columns, 32);
    if (free && convolution_.sliced)
      for (const Tile& tile : sliced_tiles(reference_)) tiles.push_back(tile);
    return tiles;
  }

  void encode(const Tile& tile, const TiledOperands& operands) override {
    const TileSize size = size_of_tile(tile);
    const Value left = pack_panels(
        encoder_,
        operands.left,
        convolution_.panels,
        size.rows,
        shared_ ? 1 : tile.depth,
        tile.depth);
    const Slices slices = this->slices(tile.workgroups);
    ConvolutionParams params = convolution_.params;
    params.slice_depth = slices.depth;
    const bool sliced = slices.count > 1;
    const Value& c = operands.out;
    const Value to = sliced ? encoder_.scratch(c->dtype(), Shape{slices.count, elements()}) : c;
    const EpilogueShader ending(encoder_, *shader_, sliced ? nullptr : convolution_.epilogue, c);
    const std::uint32_t constants[] = {
        tile.group,
        tile.rows,
        tile.columns,
        tile.depth,
        checked() ? 1u : 0u,
        static_cast<std::uint32_t>(convolution_.insert[0]),
        static_cast<std::uint32_t>(convolution_.insert[1]),
        operands.bias ? 1u : 0u};
    const auto bound = ending.with(
        {read(left), read(operands.right), read(operands.bias ? operands.bias : left), write(to)});
    encoder_.dispatch(
        ending.shader(),
        constants,
        bound,
        std::as_bytes(std::span(&params, 1)),
        grid_of(tiles_of(size) * slices.count));
    if (sliced)
      sum_slices(encoder_, to, slices, c, elements(), 1, Value(), convolution_.epilogue, 0);
  }

 private:
  [[nodiscard]] std::uint32_t element_bytes() const noexcept {
    return static_cast<std::uint32_t>(size_of(convolution_.x->dtype()));
  }
  [[nodiscard]] std::uint64_t work() const noexcept {
    const ConvolutionParams& p = convolution_.params;
    return std::uint64_t{p.groups} * p.rows * p.columns * p.depth;
  }
  [[nodiscard]] std::uint32_t elements() const noexcept {
    return static_cast<std::uint32_t>(convolution_.out->meta().elements());
  }
  /// Tiles in registers all take as many steps at a time.
  [[nodiscard]] bool checked() const noexcept {
    return convolution_.padded || inserted_ || shared_ ||
           convolution_.params.depth % reference_.depth != 0;
  }
  [[nodiscard]] TileSize size_of_tile(const Tile& tile) const noexcept {
    return shared_ ? shared_size(tile) : register_size(tile);
  }
  [[nodiscard]] std::uint64_t tiles_of(const TileSize& size) const noexcept {
    const ConvolutionParams& p = convolution_.params;
    return ceil_div(p.rows, size.rows) * ceil_div(p.columns, size.columns) * p.groups;
  }
  /// By the reference, whatever the tile: where k is cut decides about bits.
  [[nodiscard]] Slices slices(std::uint32_t workgroups = Tile().workgroups) const noexcept {
    const std::uint32_t depth = convolution_.params.depth;
    if (!convolution_.sliced) return {1, std::max(depth, 1u)};
    return Slices::of(
        tiles_of(size_of_tile(reference_)), depth, reference_.depth, elements(), workgroups);
  }
  [[nodiscard]] TileKey key() const noexcept {
    const ConvolutionParams& p = convolution_.params;
    TileKey key;
    key.shader = shader_;
    key.sizes[0] = TileKey::class_of(p.rows);
    key.sizes[1] = TileKey::class_of(p.columns);
    key.sizes[2] = TileKey::class_of(p.depth);
    key.sizes[3] = TileKey::class_of(p.groups);
    key.variant = (checked() ? 1u : 0u) | (convolution_.bias ? 2u : 0u) |
                  (slices().count > 1 ? 4u : 0u) | (convolution_.sliced ? 8u : 0u) |
                  static_cast<std::uint32_t>(convolution_.insert[0] & 255) << 8 |
                  static_cast<std::uint32_t>(convolution_.insert[1] & 255) << 16;
    key.reference = reference_;
    return key;
  }

  Encoder& encoder_;
  const Convolution& convolution_;
  bool inserted_ = false;
  bool shared_ = false;
  const Shader* shader_ = nullptr;
  Tile reference_;
};

}  // namespace

void encode_convolution(Encoder& encoder, Convolution& convolution) {
  // Sizes without an element are divided by all the same.
  convolution.params.k_y = std::max(convolution.params.k_y, 1u);
  convolution.params.k_x = std::max(convolution.params.k_x, 1u);
  const Value& out = encoder.out(0);
  const bool rounds = !is_computable(out->dtype());
  convolution.out = rounds ? encoder.scratch(DType::float32, out->shape()) : out;
  ConvolutionEncoder(encoder, convolution).encode();
  if (rounds && out->meta().elements() > 0) encode_cast(encoder, convolution.out, out);
}

Value convolution_operand(Encoder& encoder, std::size_t input) {
  const Value& value = encoder.in(input);
  return is_computable(value->dtype()) ? encoder.contiguous(value) : widened(encoder, value);
}

}  // namespace troupe::vulkan
