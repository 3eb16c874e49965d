#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/product.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y = a · b, the product of matrices, vectors, or batches of them.
///
/// Shape    [K]·[K] → []; [R, K]·[K] → [R]; [K]·[K, C] → [C]; [..., R, K]·[..., K, C] → [..., R,
///          C], the leading sizes broadcast; a vector stands for a row on the left, a column on the
///          right.
/// Dtype    any but bool and uint8; both the same; y as a. Integers wrap around. 16-bit floats are
///          multiplied exactly, added in float32, and the sum is rounded to 16 bits once: y is off
///          by half a unit in its last place, besides what K sums in float32 are, in any order.
///          Where a processor has instructions for pairs of bfloat16, numbers below the smallest
///          normal one (2⁻¹²⁶) count as 0 there, in factors, sums and results.
/// Saves    a, b.
/// Errors   `shape_mismatch` for inner sizes that differ or batches that do not broadcast, or a
///          scalar; `dtype_mismatch` for bool or mixed dtypes.
/// Source   torch.matmul; da = dy · bᵀ, db = aᵀ · dy.
struct Matmul : OpDefaults {
  static constexpr OpId id{400};
  static constexpr std::string_view name = "matmul";
  static constexpr std::uint32_t saves_inputs = 0b11;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_same_dtype(in[1], "b", in[0], "a");
    if (!is_integer(in[0].dtype)) require_factor(in[0], "a");
    const Shape& a = in[0].shape;
    const Shape& b = in[1].shape;
    require_rank_at_least(in[0], 1, "a", "[..., R, K]");
    require_rank_at_least(in[1], 1, "b", "[..., K, C]");
    const std::int64_t inner_a = a.back();
    const std::int64_t inner_b = b.size() == 1 ? b[0] : b[b.size() - 2];
    if (inner_a != inner_b) {
      Error error(
          ErrorCode::shape_mismatch,
          "the inner sizes differ: " + to_string(a) + " ends in " + std::to_string(inner_a) +
              ", but " + to_string(b) + " has " + std::to_string(inner_b) + " rows");
      error.hint(
          b.size() >= 2 && b.back() == inner_a
              ? "transpose the second: they would fit then"
              : "the columns of the first must be as many as the rows of the second");
      throw error;
    }
    Meta meta{in[0].dtype, broadcast(batch_of(a), batch_of(b))};
    if (a.size() > 1) meta.shape.push_back(a[a.size() - 2]);
    if (b.size() > 1) meta.shape.push_back(b.back());
    out.push_back(meta);
  }

  template <class V>
  Gradients vjp(const V& v) const {
    const Meta& like_a = v.input_meta(0);
    const Meta& like_b = v.input_meta(1);
    auto a = v.input(0);
    auto b = v.input(1);
    auto dy = v.grad();
    // Vectors become matrices of one row or one column, so that one rule serves all.
    if (like_b.shape.size() == 1) {
      b = unsqueeze(b, -1);
      dy = unsqueeze(dy, -1);
    }
    if (like_a.shape.size() == 1) {
      a = unsqueeze(a, 0);
      dy = unsqueeze(dy, -2);
    }
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = fit(matmul(dy, transpose(b, -2, -1)), like_a, 0);
    if (v.needs(1)) {
      if (b.rank() == 2 && a.rank() > 2) {
        // One long product instead of a batch of products and their sum.
        const std::int64_t rows = rows_in(a.shape());
        a = reshape(a, Shape{rows, a.size(-1)});
        dy = reshape(dy, Shape{rows, dy.size(-1)});
      }
      gradients[1] = fit(matmul(transpose(a, -2, -1), dy), like_b, -1);
    }
    return gradients;
  }

 private:
  static Shape batch_of(const Shape& shape) {
    Shape batch;
    for (std::size_t i = 0; i + 2 < shape.size(); ++i) batch.push_back(shape[i]);
    return batch;
  }
  /// Sums over broadcast batches, and takes away the dimension that a vector was given.
  template <class T>
  static T fit(const T& gradient, const Meta& like, std::int64_t vector_axis) {
    if (like.shape.size() > 1) return reduce_to(gradient, like);
    const std::size_t rank = gradient.rank();
    const std::int64_t elements = like.shape[0];
    Meta matrix{like.dtype, vector_axis == 0 ? Shape{1, elements} : Shape{elements, 1}};
    return reshape(rank > 2 ? reduce_to(gradient, matrix) : gradient, like.shape);
  }
};

/// torch.matmul; of float32 in `Autocast`'s dtype.
[[nodiscard]] inline Tensor matmul(const Operand& a, const Operand& b) {
  const Operand factors[] = {a, b};
  return apply_product(make_op(Matmul{}), factors);
}

}  // namespace troupe
