#pragma once

#include "gemm_tile.hpp"
#include "kernel.hpp"

#include <algorithm>
#include <cstdint>

namespace troupe::cpu {

/// C[i, j] = Σ_k A[i, k]·B[k, j] (+ bias[j]) for a batch of matrices in any layout, strides in
/// elements; C is contiguous. A is the call's first input, B the second, the bias the third.
struct Product {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t batch = 1;  ///< matrices of C; where each starts in A and B follows from the call
  std::int64_t a_row = 0;
  std::int64_t a_k = 0;
  std::int64_t b_k = 0;
  std::int64_t b_column = 0;
};

/// The product that the numbers of a plan begin with, in the order of its members.
template <class A>
Product product_in(const Plan& plan) noexcept {
  const auto& n = plan.numbers;
  return {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]};
}

/// Where a matrix of a batch starts.
struct BatchOffsets {
  std::int64_t a = 0;
  std::int64_t b = 0;
};

/// Offsets of the given matrix of C's leading dimensions, in elements of A and of B. The last two
/// dimensions of an operand are its matrix, or the only one its vector.
template <class A>
BatchOffsets batch_offsets(const KernelCall& call, std::int64_t matrix) noexcept {
  BatchOffsets offsets;
  const View& a = call.in[0];
  const View& b = call.in[1];
  const Shape& shape = call.out[0].shape;
  const std::size_t rank = std::max({a.shape.size(), b.shape.size(), std::size_t{2}}) - 2;
  for (std::size_t axis = rank; axis-- > 0 && matrix > 0;) {
    const std::int64_t index = matrix % shape[axis];
    matrix /= shape[axis];
    // Broadcasting aligns the last dimensions, and leaves those of size 1 where they are.
    const auto offset = [&](const View& view) -> std::int64_t {
      const std::size_t missing = rank + 2 - view.shape.size();
      if (axis < missing || view.shape[axis - missing] == 1) return 0;
      return index * view.strides[axis - missing];
    };
    offsets.a += offset(a);
    offsets.b += offset(b);
  }
  return offsets;
}

/// How large one chunk should be: some 20 µs of one thread at least, so that a hand-off costs
/// nothing, and longer in large products, where smaller chunks would only read more, as long as
/// there are enough of them for a score of threads.
template <class A>
constexpr double chunk_flops(double total) noexcept {
  return std::clamp(total / 48, 2e6, 64e6);
}
/// For estimates of time: a modest core with FMA.
inline constexpr double flops_per_ns = 50;

/// Plans the product by tiles, packing what pays, or the packing of B alone. Every element is one
/// chain of FMAs over k in rising order, whatever the layout, the blocks and the packing.
template <class T, class A>
void plan_product(const KernelCall& call, const Product& product, Plan& plan);

/// Plans a product with one row of A (m = 1) or one column of B (n = 1). Every element is as many
/// chains as a vector has lanes, chain p over k ≡ p modulo their number, added by a fixed tree.
template <class T, class A>
void plan_vector_product(const Product& product, Plan& plan);

/// Computes some rows and columns of one matrix with the bits that `plan_product` gives them. For
/// kernels of float32 by other means, where those would not be exact.
template <class A>
void multiply_exactly(
    const KernelCall& call,
    const Product& product,
    const BatchOffsets& offsets,
    std::int64_t row,
    std::int64_t rows,
    std::int64_t column,
    std::int64_t columns,
    float* c) noexcept;

extern template void plan_product<float, Arch>(const KernelCall&, const Product&, Plan&);
extern template void plan_product<double, Arch>(const KernelCall&, const Product&, Plan&);
extern template void plan_vector_product<float, Arch>(const Product&, Plan&);
extern template void plan_vector_product<double, Arch>(const Product&, Plan&);

}  // namespace troupe::cpu
