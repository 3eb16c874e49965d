#include "gemm.hpp"

#include "trials.hpp"

#include <algorithm>
#include <utility>

namespace troupe::vulkan {

namespace {

/// Steps of k that register tiles take at a time.
constexpr std::uint32_t block = 4;

/// Along what a bias is added; BIAS of matmul.glsl.
enum class Bias : std::uint32_t { none = 0, by_row = 1, by_column = 2 };

/// MATMUL_PARAMS of matmul.glsl.
struct Params {
  std::uint32_t rows, columns, depth;
  std::uint32_t left_row, left_k, right_k, right_column, c_row, c_column;
  std::uint32_t batch, inner, middle;
  std::uint32_t left_inner, left_middle, left_outer;
  std::uint32_t right_inner, right_middle, right_outer;
  std::uint32_t left_begin, right_begin, c_begin;
  std::uint32_t slice_depth;
};

class ProductEncoder final : public TiledLaunch {
 public:
  ProductEncoder(Encoder& encoder, Product& p) noexcept : encoder_(encoder), p_(p) {}

  void encode(const Part& part) {
    part_ = part;
    choose_way();
    const TiledOperands operands{p_.left, p_.right, p_.bias, p_.c};
    if (integers() || !part.whole) return encode(reference_, operands);
    encode_tiled(encoder_, key(), *this, operands, p_.depth, work() * part.batch.count());
  }

  void encode(const Tile& tile, const TiledOperands& operands) override {
    if (way_ == Way::panels)
      encode_panels(tile, operands);
    else
      encode_tiles(tile, operands, params());
  }

  [[nodiscard]] std::vector<Tile> candidates(bool free) const override {
    // Of the sizes only what the key tells of them.
    const std::uint64_t rows = std::uint64_t{1} << TileKey::class_of(p_.rows);
    const std::uint64_t columns = std::uint64_t{1} << TileKey::class_of(p_.columns);
    std::vector<Tile> tiles =
        way_ == Way::shared
            ? shared_tiles(
                  reference_,
                  rows,
                  columns,
                  slices().count > 1,
                  element_bytes(),
                  encoder_.workgroup_limits())
            : register_tiles(reference_, rows, columns, way_ == Way::panels ? 32 : 8);
    if (free)
      for (const Tile& tile : sliced_tiles(reference_)) tiles.push_back(tile);
    return tiles;
  }

  /// Turns C over where rows and columns had better change places: columns are shared out among
  /// lanes, of which many would have nothing to do.
  void turn() {
    if (p_.columns >= 16 || p_.rows <= p_.columns || !(integers() || encoder_.software())) return;
    std::swap(p_.left, p_.right);
    std::swap(p_.left_layout, p_.right_layout);
    std::swap(p_.rows, p_.columns);
    for (BatchAxis& axis : p_.batch) std::swap(axis.left, axis.right);
    turned_ = true;
  }

 private:
  /// Where operands lie while they are multiplied.
  enum class Way { direct, panels, shared };

  [[nodiscard]] bool integers() const noexcept {
    return p_.left->dtype() != DType::float32 && p_.left->dtype() != DType::float64;
  }
  [[nodiscard]] std::uint64_t work() const noexcept {
    return std::uint64_t{p_.rows} * p_.columns * p_.depth;
  }
  /// Of one subgroup.
  [[nodiscard]] std::uint32_t lanes() const noexcept { return encoder_.fold_group(1); }
  [[nodiscard]] std::uint32_t element_bytes() const noexcept {
    return static_cast<std::uint32_t>(size_of(p_.left->dtype()));
  }
  [[nodiscard]] std::uint32_t bias() const noexcept {
    return static_cast<std::uint32_t>(
        !p_.bias  ? Bias::none
        : turned_ ? Bias::by_row
                  : Bias::by_column);
  }

  [[nodiscard]] Params params() const noexcept {
    const BatchAxis* const digits = part_.batch.digits;
    Params params{};
    params.rows = p_.rows;
    params.columns = p_.columns;
    params.depth = p_.depth;
    params.left_row = p_.left_layout.row;
    params.left_k = p_.left_layout.k;
    params.right_k = p_.right_layout.k;
    params.right_column = p_.right_layout.row;
    params.c_row = turned_ ? 1 : p_.columns;
    params.c_column = turned_ ? p_.rows : 1;
    params.batch = part_.batch.count();
    params.inner = digits[0].size;
    params.middle = digits[1].size;
    params.left_inner = digits[0].left;
    params.left_middle = digits[1].left;
    params.left_outer = digits[2].left;
    params.right_inner = digits[0].right;
    params.right_middle = digits[1].right;
    params.right_outer = digits[2].right;
    params.left_begin = part_.left;
    params.right_begin = part_.right;
    params.c_begin = part_.c;
    return params;
  }

  /// Sets way, shader and what is taken where nothing is tuned.
  void choose_way() {
    static const ShaderByDType direct("matmul_registers");
    static const ShaderByDType of_integers("matmul_integers");
    static const ShaderByDType panels("matmul_panels");
    static const ShaderByDType shared("matmul_tiled");
    const DType dtype = p_.left->dtype();
    if (!integers() && !encoder_.software()) {
      way_ = Way::shared;
      shader_ = &encoder_.shader(shared, dtype);
      // Tiles as large as still give every multiprocessor of a large GPU one.
      const bool large = dtype == DType::float32 && tiles_of({128, 128}) >= 96;
      reference_ = shared_tile_for(element_bytes(), large, encoder_.workgroup_limits());
      return;
    }
    if (!integers() && std::min(p_.rows, p_.columns) >= 16 && work() >= 1 << 20) {
      way_ = Way::panels;
      shader_ = &encoder_.shader(panels, dtype);
      const std::uint32_t rows = tile_rows(p_.rows);
      const std::uint32_t columns =
          dtype == DType::float32 && rows == 32 ? tile_columns(p_.columns, lanes(), work()) : 4;
      reference_ = {lanes(), rows, columns, block};
      return;
    }
    way_ = Way::direct;
    shader_ = &encoder_.shader(integers() ? of_integers : direct, dtype);
    const std::uint32_t group = encoder_.software() ? lanes() : 64;
    std::uint32_t rows = 8;
    while (rows > 1 && rows / 2 >= p_.rows) rows /= 2;
    reference_ = {group, rows, tile_columns(p_.columns, group), block};
  }

  [[nodiscard]] TileKey key() const noexcept {
    TileKey key;
    key.shader = shader_;
    key.sizes[0] = TileKey::class_of(p_.rows);
    key.sizes[1] = TileKey::class_of(p_.columns);
    key.sizes[2] = TileKey::class_of(p_.depth);
    key.sizes[3] = TileKey::class_of(part_.batch.count());
    const bool sliced = slices().count > 1;
    key.variant = (sliced ? 0 : bias()) | (sliced ? 4u : 0u) | along_k(p_.left_layout) << 3 |
                  along_k(p_.right_layout) << 4 | (turned_ ? 32u : 0u);
    key.reference = reference_;
    return key;
  }
  /// Whether neighbours along k are neighbours in memory.
  [[nodiscard]] static std::uint32_t along_k(const Layout& layout) noexcept {
    return layout.k == 1 ? 1 : 0;
  }

  [[nodiscard]] TileSize size_of_tile(const Tile& tile) const noexcept {
    return way_ == Way::shared ? shared_size(tile) : register_size(tile);
  }
  [[nodiscard]] std::uint64_t tiles_of(const TileSize& size) const noexcept {
    return ceil_div(p_.rows, size.rows) * ceil_div(p_.columns, size.columns) * part_.batch.count();
  }
  [[nodiscard]] std::uint32_t elements() const noexcept {
    return part_.batch.count() * p_.rows * p_.columns;
  }
  /// By the reference, whatever the tile: where k is cut decides about bits.
  [[nodiscard]] Slices slices(std::uint32_t workgroups = Tile().workgroups) const noexcept {
    return Slices::of(
        tiles_of(size_of_tile(reference_)), p_.depth, reference_.depth, elements(), workgroups);
  }

  /// Dispatches a workgroup for each tile of each slice, then adds the slices.
  void encode_tiles(const Tile& tile, const TiledOperands& operands, Params params) {
    const Slices slices = this->slices(tile.workgroups);
    params.slice_depth = slices.depth;
    const bool sliced = slices.count > 1;
    Value to = operands.out;
    const std::uint32_t c_begin = params.c_begin;
    if (sliced) {
      to = encoder_.scratch(to->dtype(), Shape{slices.count, elements()});
      params.c_begin = 0;
    }
    const Value& bias = operands.bias;
    const std::uint32_t constants[] = {
        tile.group,
        tile.rows,
        tile.columns,
        tile.depth,
        sliced ? 0 : this->bias(),
        along_k(p_.left_layout),
        along_k(p_.right_layout)};
    const EpilogueShader ending(encoder_, *shader_, sliced ? nullptr : p_.epilogue, operands.out);
    const auto bound = ending.with(
        {read(operands.left),
         read(operands.right),
         read(bias && !sliced ? bias : operands.left),
         write(to)});
    encoder_.dispatch(
        ending.shader(),
        std::span(constants).first(way_ == Way::shared ? 7 : 5),
        bound,
        std::as_bytes(std::span<const Params, 1>(&params, 1)),
        grid_of(tiles_of(size_of_tile(tile)) * slices.count));
    if (!sliced) return;
    const std::uint32_t columns = turned_ ? p_.rows : p_.columns;
    sum_slices(encoder_, to, slices, operands.out, elements(), columns, bias, p_.epilogue, c_begin);
  }

  void encode_panels(const Tile& tile, const TiledOperands& operands) {
    Params params = this->params();
    const auto pack = [&](bool left, std::uint32_t panel, std::uint32_t panel_block) {
      const Layout& layout = left ? p_.left_layout : p_.right_layout;
      Panels panels;
      panels.rows = left ? p_.rows : p_.columns;
      panels.depth = panels.k_inner = p_.depth;
      panels.row_step = layout.row;
      panels.k_step = layout.k;
      panels.origin = left ? part_.left : part_.right;
      // Of a broadcast axis there is one matrix, at step 0 among the packed ones.
      std::uint32_t matrices = 1;
      std::uint32_t packed[3];
      for (std::size_t i = 0; i < 3; ++i) {
        const BatchAxis& axis = part_.batch.digits[i];
        panels.steps[i] = left ? axis.left : axis.right;
        panels.sizes[i] = panels.steps[i] ? axis.size : 1;
        packed[i] = panels.steps[i] ? matrices : 0;
        matrices *= panels.sizes[i];
      }
      std::uint32_t& inner = left ? params.left_inner : params.right_inner;
      std::uint32_t& middle = left ? params.left_middle : params.right_middle;
      std::uint32_t& outer = left ? params.left_outer : params.right_outer;
      inner = packed[0];
      middle = packed[1];
      outer = packed[2];
      const Value& x = left ? operands.left : operands.right;
      return pack_panels(encoder_, x, panels, panel, panel_block, block);
    };
    const Value left = pack(true, tile.rows, block);
    const Value right = pack(false, register_size(tile).columns, 1);
    params.left_begin = params.right_begin = 0;
    encode_tiles(tile, {left, right, operands.bias, operands.out}, params);
  }

  Encoder& encoder_;
  Product& p_;
  bool turned_ = false;
  Part part_;
  Way way_ = Way::direct;
  const Shader* shader_ = nullptr;
  Tile reference_;
};

}  // namespace

void collapse_batch(Product& p) noexcept {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < p.batch_rank; ++i) {
    const BatchAxis axis = p.batch[i];
    if (axis.size == 1) continue;
    if (kept > 0) {
      BatchAxis& outer = p.batch[kept - 1];
      if (outer.left == axis.left * axis.size && outer.right == axis.right * axis.size) {
        outer = {outer.size * axis.size, axis.left, axis.right};
        continue;
      }
    }
    p.batch[kept++] = axis;
  }
  p.batch_rank = kept;
}

std::uint32_t tile_rows(std::uint32_t rows) noexcept {
  // A tile costs its rows, and some ten more for what it loads.
  std::uint32_t best = 2;
  for (const std::uint32_t candidate : {8u, 16u, 32u})
    if (ceil_div(rows, candidate) * (candidate + 10) < ceil_div(rows, best) * (best + 10))
      best = candidate;
  return best;
}

std::uint32_t tile_columns(
    std::uint32_t columns, std::uint32_t lanes, std::uint64_t work) noexcept {
  // Wider tiles take longer to compile, and pay in large products.
  if (columns >= 32 * lanes && work >= std::uint64_t{1} << 26) return 8;
  return columns <= lanes ? 1 : columns <= 2 * lanes ? 2 : 4;
}

Slices Slices::of(
    std::uint64_t tiles,
    std::uint32_t depth,
    std::uint32_t multiple,
    std::uint64_t elements,
    std::uint32_t wanted) noexcept {
  constexpr std::uint64_t depth_min = 256;         // of a slice, or it costs more than it gains
  constexpr std::uint64_t elements_max = 4 << 20;  // of all slices
  const std::uint64_t affordable = elements_max / std::max<std::uint64_t>(elements, 1);
  const std::uint64_t most =
      std::min({wanted / std::max<std::uint64_t>(tiles, 1), depth / depth_min, affordable});
  Slices slices;
  if (most < 2) {
    slices.depth = std::max(depth, 1u);
    return slices;
  }
  slices.depth = static_cast<std::uint32_t>(ceil_div(ceil_div(depth, most), multiple) * multiple);
  slices.count = static_cast<std::uint32_t>(ceil_div(depth, slices.depth));
  return slices;
}

Value pack_panels(
    Encoder& encoder,
    const Value& x,
    const Panels& panels,
    std::uint32_t width,
    std::uint32_t block_size,
    std::uint32_t depth_multiple) {
  static const ShaderByDType shaders("gemm_pack");
  const Shader& shader = encoder.shader(shaders, x->dtype());
  const std::uint32_t stored = stored_depth(panels.depth, depth_multiple);
  const std::uint32_t matrices = panels.sizes[0] * panels.sizes[1] * panels.sizes[2];
  const auto tiles = static_cast<std::uint32_t>(ceil_div(panels.rows, width));
  const std::int64_t elements = std::int64_t{matrices} * tiles * width * stored;
  // A subgroup's last load may go past the last panel; and whoever reads none must still bind it.
  constexpr std::int64_t behind = 64;
  const Value packed = encoder.scratch(x->dtype(), Shape{elements + behind});
  if (elements == 0) return packed;
  const std::uint32_t blocks = stored / block_size;
  const std::uint32_t chunk = std::max(256 / block_size, 1u);
  struct {
    std::uint32_t rows, depth, tiles, blocks, chunk, matrices;
    std::uint32_t row_step, k_step, k_inner, k_outer_step;
    std::uint32_t inner, middle, inner_step, middle_step, outer_step, origin;
  } const params{
      panels.rows,
      panels.depth,
      tiles,
      blocks,
      chunk,
      matrices,
      panels.row_step,
      panels.k_step,
      std::max(panels.k_inner, 1u),
      panels.k_outer_step,
      panels.sizes[0],
      panels.sizes[1],
      panels.steps[0],
      panels.steps[1],
      panels.steps[2],
      panels.origin};
  const std::uint32_t group = encoder.software() ? encoder.fold_group(1) : 64;
  encoder.dispatch(
      shader,
      {group, width, block_size},
      {read(x), write(packed)},
      params,
      grid_of(std::uint64_t{matrices} * tiles * ceil_div(blocks, chunk)));
  return packed;
}

void sum_slices(
    Encoder& encoder,
    const Value& partial,
    const Slices& slices,
    const Value& c,
    std::uint32_t count,
    std::uint32_t columns,
    const Value& bias,
    const Epilogue* epilogue,
    std::uint32_t origin) {
  static const ShaderByDType shaders("gemm_slices");
  struct {
    std::uint32_t count, slices, columns, origin;
  } const params{count, slices.count, columns, origin};
  const EpilogueShader ending(encoder, *shaders[c->dtype()], epilogue, c);
  const std::uint32_t constants[] = {encoder.plain_group(), bias ? 1u : 0u};
  const auto operands = ending.with({read(partial), read(bias ? bias : partial), write(c)});
  encoder.dispatch(
      ending.shader(),
      constants,
      operands,
      std::as_bytes(std::span(&params, 1)),
      grid_for(count, encoder.plain_group()));
}

void encode_product(Encoder& encoder, Product product) {
  if (encoder.out(0)->meta().elements() == 0) return;
  if (!product.c) product.c = encoder.out(0);
  ProductEncoder products(encoder, product);
  products.turn();
  for_each_part(product, [&](const Part& part) { products.encode(part); });
}

}  // namespace troupe::vulkan
