#pragma once

#include "epilogue.hpp"

#include <algorithm>
#include <cstdint>

namespace troupe::vulkan {

/// Elements of an operand between neighbours, and where its first lies.
struct Layout {
  std::uint32_t row = 0;  ///< of the right operand, its columns: what becomes a row or column of C
  std::uint32_t k = 0;
};

/// One leading dimension of a batch of products. A step of 0 means that all share the matrix.
struct BatchAxis {
  std::uint32_t size = 1;
  std::uint32_t left = 0;
  std::uint32_t right = 0;
};

/// C[r, c] = Σ_k left[r, k] · right[k, c] (+ bias[c]) for a batch of matrices in any layout; C is
/// contiguous.
struct Product {
  Value left;
  Value right;
  Value bias;  ///< contiguous, or null
  const Epilogue* epilogue = nullptr;
  Value c;  ///< null: the launch's first output
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t depth = 0;
  Layout left_layout;
  Layout right_layout;
  BatchAxis batch[8];  ///< outermost first
  std::size_t batch_rank = 0;
};

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
  bool whole = false;  ///< it is the whole product
};

/// Joins neighbouring axes that both operands pass through evenly, and drops those of size 1.
void collapse_batch(Product& product) noexcept;

/// Calls `encode` with each part of a product: shaders take three digits of the batch, and what is
/// left is done part by part.
template <class Encode>
void for_each_part(Product& product, Encode encode) {
  collapse_batch(product);
  Part part;
  const std::size_t digits = std::min<std::size_t>(product.batch_rank, 3);
  for (std::size_t i = 0; i < digits; ++i)
    part.batch.digits[i] = product.batch[product.batch_rank - 1 - i];
  const std::size_t outer = product.batch_rank - digits;
  std::uint32_t parts = 1;
  for (std::size_t i = 0; i < outer; ++i) parts *= product.batch[i].size;
  part.whole = parts == 1;
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
    encode(part);
  }
}

/// Encodes a product into C. Every element is a sum over k in rising order; where there are few
/// elements and many k, of slices of k, whose number the shape alone gives unless tuning is free.
void encode_product(Encoder& encoder, Product product);

/// What gemm_pack.comp takes: an operand of matrices, whose rows become panels.
struct Panels {
  std::uint32_t rows = 0;
  std::uint32_t depth = 0;
  std::uint32_t row_step = 0;
  std::uint32_t k_step = 1;
  /// k counts `k_inner` elements `k_step` apart, then goes on `k_outer_step` behind the first.
  std::uint32_t k_inner = 1;
  std::uint32_t k_outer_step = 0;
  std::uint32_t sizes[3] = {1, 1, 1};  ///< of the batch, innermost first
  std::uint32_t steps[3] = {0, 0, 0};
  std::uint32_t origin = 0;  ///< of the first matrix, in elements
};
/// Steps of k that are stored for `depth` of them: a whole number of blocks.
[[nodiscard]] constexpr std::uint32_t stored_depth(
    std::uint32_t depth, std::uint32_t block) noexcept {
  return (depth + block - 1) / block * block;
}
/// Packs `x` into panels of `width` rows and blocks of `block` steps, [matrix][tile][k /
/// block][row] [k % block]; k is padded to a multiple of `depth_multiple`.
[[nodiscard]] Value pack_panels(
    Encoder& encoder,
    const Value& x,
    const Panels& panels,
    std::uint32_t width,
    std::uint32_t block,
    std::uint32_t depth_multiple);

/// Slices of k, as many as give some `wanted` workgroups in all, each of a multiple of `multiple`
/// steps.
struct Slices {
  std::uint32_t count = 1;
  std::uint32_t depth = 0;

  static Slices of(
      std::uint64_t tiles,
      std::uint32_t depth,
      std::uint32_t multiple,
      std::uint64_t elements,
      std::uint32_t wanted = Tile().workgroups) noexcept;
};
/// Adds slices, [slice][element of C], in order, into `c` from element `origin` on; then the bias
/// along C's columns, unless it is null; then the epilogue's steps, if there is one.
void sum_slices(
    Encoder& encoder,
    const Value& partial,
    const Slices& slices,
    const Value& c,
    std::uint32_t count,
    std::uint32_t columns,
    const Value& bias,
    const Epilogue* epilogue,
    std::uint32_t origin);

/// Rows of a register tile for a matrix of so many.
[[nodiscard]] std::uint32_t tile_rows(std::uint32_t rows) noexcept;
/// Registers across of a tile for a matrix of so many columns, in a product of so many
/// multiplications.
[[nodiscard]] std::uint32_t tile_columns(
    std::uint32_t columns, std::uint32_t lanes, std::uint64_t work = 0) noexcept;

}  // namespace troupe::vulkan
