#include "cooperative.hpp"

#include "copy.hpp"
#include "vulkan_device.hpp"

#include <algorithm>

namespace troupe::vulkan {

namespace {

/// PARAMS of matmul_cooperative.comp.
struct Params {
  std::uint32_t rows, columns, depth;
  std::uint32_t left_row, left_k, right_k, right_column;
  std::uint32_t batch, inner, middle;
  std::uint32_t left_inner, left_middle, left_outer;
  std::uint32_t right_inner, right_middle, right_outer;
  std::uint32_t left_begin, right_begin, c_begin;
  std::uint32_t slice_depth;
};

/// The size of subgroups that every pipeline has; 0: the driver may choose another.
std::uint32_t fixed_lanes(const Context& context) noexcept {
  const DeviceInfo& info = context.info;
  if (context.subgroups.size > 0) return context.subgroups.size;
  return info.subgroup_size_min == info.subgroup_size_max ? info.subgroup_size : 0;
}

}  // namespace

std::uint32_t CooperativeTile::shared_bytes() const noexcept {
  // Lines of eights along k or across, and one more in each.
  const auto operand = [&](std::uint32_t side) {
    return 16 * std::max(side * (depth / 8 + 1), depth * (side / 8 + 1));
  };
  return operand(height()) + operand(width()) + subgroups * matrix.m * matrix.n * 4;
}

const CooperativeMatrix* cooperative_matrix_for(
    std::span<const CooperativeMatrix> matrices, DType dtype) noexcept {
  const auto fits = [&](const CooperativeMatrix& matrix) {
    const auto eights = [](std::uint32_t size, std::uint32_t most) {
      return size > 0 && size % 8 == 0 && size <= most;
    };
    return matrix.operands == dtype && eights(matrix.m, 32) && eights(matrix.n, 32) &&
           eights(matrix.k, 32);
  };
  const CooperativeMatrix* best = nullptr;
  for (const CooperativeMatrix& matrix : matrices)
    if (fits(matrix) && (!best || matrix.m * matrix.n * matrix.k > best->m * best->n * best->k))
      best = &matrix;
  return best;
}

CooperativeTile cooperative_tile_for(
    const CooperativeMatrix& matrix,
    std::uint32_t lanes,
    bool large,
    const WorkgroupLimits& limits) noexcept {
  const std::uint32_t side = large ? 128 : 64;
  constexpr std::uint32_t invocations = 128;
  CooperativeTile best;
  if (lanes == 0 || invocations % lanes != 0) return best;
  CooperativeTile tile{matrix, lanes, invocations / lanes, 1};
  for (; tile.across <= tile.subgroups; tile.across *= 2) {
    const std::uint32_t down = tile.subgroups / tile.across;
    if (side % (down * matrix.m) != 0 || side % (tile.across * matrix.n) != 0) continue;
    tile.rows = side / (down * matrix.m);
    tile.columns = side / (tile.across * matrix.n);
    if (tile.rows * tile.columns > CooperativeTile::sums_max) continue;
    // Near a square a subgroup reads least from shared memory for what it computes.
    const auto read = [](const CooperativeTile& of) {
      return of.rows * of.matrix.m + of.columns * of.matrix.n;
    };
    if (best.subgroups == 0 || read(tile) < read(best)) best = tile;
  }
  // More steps at a time meet at fewer barriers, and are longer than a load takes.
  for (const std::uint32_t depth : {64u, 32u}) {
    if (depth > 32 && !large) continue;
    best.depth = depth / matrix.k * matrix.k;
    if (best.subgroups > 0 && best.invocations() <= limits.invocations &&
        best.shared_bytes() <= limits.shared_bytes)
      return best;
  }
  return large ? cooperative_tile_for(matrix, lanes, false, limits) : CooperativeTile{};
}

Eights eights_of(const Product& product, const Part& part, bool left, std::uint32_t rows) noexcept {
  const Layout& layout = left ? product.left_layout : product.right_layout;
  const Value& value = left ? product.left : product.right;
  Eights eights;
  eights.along_k = layout.k == 1;
  const std::uint32_t step = eights.along_k ? layout.k : layout.row;
  const std::uint32_t line_step = eights.along_k ? layout.row : layout.k;
  const std::uint32_t length = eights.along_k ? product.depth : rows;
  const std::uint32_t lines = eights.along_k ? rows : product.depth;
  const auto even = [](std::uint64_t elements) { return elements % 8 == 0; };
  eights.whole = step == 1 && even(length) && (even(line_step) || lines == 1) &&
                 even(static_cast<std::uint64_t>(value->offset())) &&
                 even(left ? part.left : part.right);
  for (const BatchAxis& axis : part.batch.digits)
    eights.whole = eights.whole && (axis.size == 1 || even(left ? axis.left : axis.right));
  return eights;
}

bool encode_cooperative(Encoder& encoder, Product p) {
  static const ShaderByDType cooperative("matmul_cooperative");
  static const ShaderByDType emulated("matmul_emulated");
  // A processor that plays a GPU multiplies cooperative matrices number by number.
  if (encoder.software()) return false;
  const Context& context = encoder.device().context();
  const DType dtype = p.left->dtype();
  const CooperativeMatrix* matrix =
      cooperative_matrix_for(context.info.cooperative_matrices, dtype);
  // Where tests ask one for a GPU's kernels and it has no such matrices, these stand for them.
  const CooperativeMatrix small{8, 8, 8, dtype};
  const bool emulates = !matrix && context.info.software;
  if (emulates) matrix = &small;
  if (!matrix) return false;
  const Shader& shader = encoder.shader(emulates ? emulated : cooperative, dtype);

  std::uint64_t matrices = 1;
  for (std::size_t i = 0; i < p.batch_rank; ++i) matrices *= p.batch[i].size;
  const auto tiles_of = [&](std::uint64_t height, std::uint64_t width) {
    return ceil_div(p.rows, height) * ceil_div(p.columns, width) * matrices;
  };
  // Tiles as large as still give every multiprocessor of a large GPU one.
  const CooperativeTile tile = cooperative_tile_for(
      *matrix, fixed_lanes(context), tiles_of(128, 128) >= 96, encoder.workgroup_limits());
  if (tile.subgroups == 0) return false;
  // Few sums of many products: their slices are added in float32.
  const std::uint64_t elements = matrices * p.rows * p.columns;
  const std::uint64_t tiles = tiles_of(tile.height(), tile.width());
  if (Slices::of(tiles, p.depth, tile.depth, elements).count > 1) return false;

  const Value& c = encoder.out(0);
  for_each_part(p, [&](const Part& part) {
    const BatchAxis* const digits = part.batch.digits;
    const Params params{
        p.rows,
        p.columns,
        p.depth,
        p.left_layout.row,
        p.left_layout.k,
        p.right_layout.k,
        p.right_layout.row,
        part.batch.count(),
        digits[0].size,
        digits[1].size,
        digits[0].left,
        digits[1].left,
        digits[2].left,
        digits[0].right,
        digits[1].right,
        digits[2].right,
        part.left,
        part.right,
        part.c,
        p.depth};
    const Eights left = eights_of(p, part, true, p.rows);
    const Eights right = eights_of(p, part, false, p.columns);
    encoder.dispatch(
        shader,
        {tile.invocations(),
         matrix->m,
         matrix->n,
         matrix->k,
         p.bias ? 2u : 0u,
         tile.lanes,
         tile.across,
         tile.rows,
         tile.columns,
         tile.depth,
         left.along_k,
         left.whole,
         right.along_k,
         right.whole},
        {read(p.left),
         left.whole ? read(p.left, 16) : read(p.left),
         read(p.right),
         right.whole ? read(p.right, 16) : read(p.right),
         read(p.bias ? p.bias : p.left),
         write(c)},
        params,
        grid_of(
            ceil_div(p.rows, tile.height()) * ceil_div(p.columns, tile.width()) *
            part.batch.count()));
  });
  return true;
}

void encode_rounded(Encoder& encoder, Product wide) {
  const Value& y = encoder.out(0);
  wide.c = encoder.scratch(DType::float32, y->shape());
  const Value c = wide.c;
  encode_product(encoder, std::move(wide));
  encode_cast(encoder, c, y);
}

Value widened(Encoder& encoder, const Value& value) {
  if (!value) return {};
  Value wide = encoder.scratch(DType::float32, value->shape());
  encode_cast(encoder, value, wide);
  return wide;
}

}  // namespace troupe::vulkan
