#include "gemm.hpp"

#include <algorithm>
#include <utility>

namespace troupe::vulkan {

namespace {

constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

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

/// Joins neighbouring axes that both operands pass through evenly, and drops those of size 1.
void collapse_batch(Product& p) {
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

/// The matrices that are in `digits`, the batch's innermost three axes, innermost first.
struct Batch {
  BatchAxis digits[3];
  [[nodiscard]] std::uint32_t count() const noexcept {
    return digits[0].size * digits[1].size * digits[2].size;
  }
};

/// What is done at once: matrices of one batch, which starts so far into the operands.
struct Part {
  Batch batch;
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  std::uint32_t c = 0;
};

class ProductEncoder {
 public:
  ProductEncoder(Encoder& encoder, Product& p) noexcept : encoder_(encoder), p_(p) {}

  void encode(const Part& part) {
    if (integers())
      encode_direct(part, encoder_.software() ? lanes() : 64);
    else if (!encoder_.software())
      encode_tiled(part);
    else if (std::min(p_.rows, p_.columns) >= 16 && work() >= 1 << 20)
      encode_panels(part);
    else
      encode_direct(part, lanes());
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
  [[nodiscard]] bool integers() const noexcept {
    return p_.left->dtype() != DType::float32 && p_.left->dtype() != DType::float64;
  }
  [[nodiscard]] std::uint64_t work() const noexcept {
    return std::uint64_t{p_.rows} * p_.columns * p_.depth;
  }
  /// Of one subgroup.
  [[nodiscard]] std::uint32_t lanes() const noexcept { return encoder_.fold_group(1); }
  [[nodiscard]] const Value& c() const noexcept { return encoder_.out(0); }
  [[nodiscard]] std::uint32_t bias() const noexcept {
    return static_cast<std::uint32_t>(
        !p_.bias  ? Bias::none
        : turned_ ? Bias::by_row
                  : Bias::by_column);
  }

  [[nodiscard]] Params params(const Part& part) const noexcept {
    const BatchAxis* const digits = part.batch.digits;
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
    params.batch = part.batch.count();
    params.inner = digits[0].size;
    params.middle = digits[1].size;
    params.left_inner = digits[0].left;
    params.left_middle = digits[1].left;
    params.left_outer = digits[2].left;
    params.right_inner = digits[0].right;
    params.right_middle = digits[1].right;
    params.right_outer = digits[2].right;
    params.left_begin = part.left;
    params.right_begin = part.right;
    params.c_begin = part.c;
    return params;
  }

  /// Dispatches `tiles` workgroups for each slice, then adds the slices.
  void encode_tiles(
      const Shader& shader,
      std::span<std::uint32_t> constants,
      const Value& left,
      const Value& right,
      Params params,
      std::uint64_t tiles,
      std::uint32_t multiple) {
    const std::uint32_t count = params.batch * p_.rows * p_.columns;
    const Slices slices = Slices::of(tiles, p_.depth, multiple, count);
    params.slice_depth = slices.depth;
    const bool sliced = slices.count > 1;
    Value to = c();
    const std::uint32_t c_begin = params.c_begin;
    if (sliced) {
      to = encoder_.scratch(p_.left->dtype(), Shape{slices.count, count});
      params.c_begin = 0;
    }
    constants[4] = sliced ? 0 : bias();
    const EpilogueShader ending(encoder_, shader, sliced ? nullptr : p_.epilogue, c());
    const auto operands = ending.with(
        {read(left), read(right), read(p_.bias && !sliced ? p_.bias : left), write(to)});
    encoder_.dispatch(
        ending.shader(),
        constants,
        operands.all(),
        std::as_bytes(std::span<const Params, 1>(&params, 1)),
        grid_of(tiles * slices.count));
    if (!sliced) return;
    sum_slices(
        encoder_,
        to,
        slices,
        c(),
        count,
        turned_ ? p_.rows : p_.columns,
        p_.bias,
        p_.epilogue,
        c_begin);
  }

  void encode_direct(const Part& part, std::uint32_t group) {
    static const ShaderByDType floats("matmul_registers");
    static const ShaderByDType others("matmul_integers");
    const Shader& shader = encoder_.shader(integers() ? others : floats, p_.left->dtype());
    std::uint32_t rows = 8;
    while (rows > 1 && rows / 2 >= p_.rows) rows /= 2;
    const std::uint32_t columns = tile_columns(p_.columns, group);
    std::uint32_t constants[] = {group, rows, columns, block, 0};
    const std::uint64_t tiles = ceil_div(p_.rows, rows) *
                                ceil_div(p_.columns, std::uint64_t{columns} * group) *
                                part.batch.count();
    encode_tiles(shader, constants, p_.left, p_.right, params(part), tiles, block);
  }

  void encode_tiled(const Part& part) {
    static const ShaderByDType shaders("matmul_tiled");
    const Shader& shader = encoder_.shader(shaders, p_.left->dtype());
    // Tiles as large as still give every multiprocessor of a large GPU one.
    const auto tiles_of = [&](std::uint64_t size) {
      return ceil_div(p_.rows, size) * ceil_div(p_.columns, size) * part.batch.count();
    };
    const bool large = p_.left->dtype() == DType::float32 && tiles_of(128) >= 96;
    const SharedTile tile = shared_tile_for(
        static_cast<std::uint32_t>(size_of(p_.left->dtype())), large, encoder_.workgroup_limits());
    std::uint32_t constants[] = {
        tile.invocations(),
        tile.registers,
        tile.registers,
        tile.depth,
        0,
        p_.left_layout.k == 1 ? 1u : 0u,
        p_.right_layout.k == 1 ? 1u : 0u};
    encode_tiles(
        shader, constants, p_.left, p_.right, params(part), tiles_of(tile.size()), tile.depth);
  }

  void encode_panels(const Part& part) {
    static const ShaderByDType shaders("matmul_panels");
    const Shader& shader = encoder_.shader(shaders, p_.left->dtype());
    const std::uint32_t rows = tile_rows(p_.rows);
    const std::uint32_t columns = p_.left->dtype() == DType::float32 && rows == 32
                                      ? tile_columns(p_.columns, lanes(), work())
                                      : 4;
    const std::uint32_t width = columns * lanes();

    Params params = this->params(part);
    const auto pack = [&](bool left, std::uint32_t panel, std::uint32_t panel_block) {
      const Layout& layout = left ? p_.left_layout : p_.right_layout;
      Panels panels;
      panels.rows = left ? p_.rows : p_.columns;
      panels.depth = panels.k_inner = p_.depth;
      panels.row_step = layout.row;
      panels.k_step = layout.k;
      panels.origin = left ? part.left : part.right;
      // Of a broadcast axis there is one matrix, at step 0 among the packed ones.
      std::uint32_t matrices = 1;
      std::uint32_t packed[3];
      for (std::size_t i = 0; i < 3; ++i) {
        const BatchAxis& axis = part.batch.digits[i];
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
      return pack_panels(encoder_, left ? p_.left : p_.right, panels, panel, panel_block, block);
    };
    const Value left = pack(true, rows, block);
    const Value right = pack(false, width, 1);
    params.left_begin = params.right_begin = 0;
    std::uint32_t constants[] = {lanes(), rows, columns, block, 0};
    const std::uint64_t tiles =
        ceil_div(p_.rows, rows) * ceil_div(p_.columns, width) * part.batch.count();
    encode_tiles(shader, constants, left, right, params, tiles, block);
  }

  Encoder& encoder_;
  Product& p_;
  bool turned_ = false;
};

}  // namespace

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
    std::uint64_t elements) noexcept {
  constexpr std::uint64_t wanted = 64;             // workgroups
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
      operands.all(),
      std::as_bytes(std::span(&params, 1)),
      grid_for(count, encoder.plain_group()));
}

void encode_product(Encoder& encoder, Product product) {
  if (encoder.out(0)->meta().elements() == 0) return;
  ProductEncoder products(encoder, product);
  products.turn();
  collapse_batch(product);
  // Shaders take three digits of the batch; what is left is done part by part.
  Part part;
  const std::size_t digits = std::min<std::size_t>(product.batch_rank, 3);
  for (std::size_t i = 0; i < digits; ++i)
    part.batch.digits[i] = product.batch[product.batch_rank - 1 - i];
  const std::size_t outer = product.batch_rank - digits;
  std::uint32_t parts = 1;
  for (std::size_t i = 0; i < outer; ++i) parts *= product.batch[i].size;
  for (std::uint32_t index = 0; index < parts; ++index) {
    part.left = part.right = 0;
    std::uint32_t rest = index;
    for (std::size_t i = outer; i-- > 0;) {
      const BatchAxis& axis = product.batch[i];
      part.left += rest % axis.size * axis.left;
      part.right += rest % axis.size * axis.right;
      rest /= axis.size;
    }
    part.c = index * part.batch.count() * product.rows * product.columns;
    products.encode(part);
  }
}

}  // namespace troupe::vulkan
