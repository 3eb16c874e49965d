#pragma once

#include "gemm.hpp"

#include <algorithm>
#include <cstdint>

namespace troupe::cpu {

/// The product that a call of `matmul` asks for. `vector` tells whether one of the operands has a
/// single row or column.
template <class A>
Product product_of_matmul(const KernelCall& call, bool& vector) noexcept {
  const View& a = call.in[0];
  const View& b = call.in[1];
  const std::size_t a_rank = a.shape.size();
  const std::size_t b_rank = b.shape.size();
  // A vector is a row on the left, a column on the right.
  Product p;
  p.k = a.shape[a_rank - 1];
  p.a_k = a.strides[a_rank - 1];
  p.m = a_rank > 1 ? a.shape[a_rank - 2] : 1;
  p.a_row = a_rank > 1 ? a.strides[a_rank - 2] : 0;
  p.n = b_rank > 1 ? b.shape[b_rank - 1] : 1;
  p.b_k = b.strides[b_rank > 1 ? b_rank - 2 : 0];
  p.b_column = b_rank > 1 ? b.strides[b_rank - 1] : 0;
  const std::size_t batch_rank = std::max({a_rank, b_rank, std::size_t{2}}) - 2;
  for (std::size_t axis = 0; axis < batch_rank; ++axis) p.batch *= call.out[0].shape[axis];

  // One B for all: the rows of all matrices are the rows of one, where they lie evenly.
  bool one_b = true;
  for (std::size_t axis = 0; axis + 2 < b_rank; ++axis) one_b = one_b && b.shape[axis] == 1;
  vector = (one_b ? p.m * p.batch : p.m) == 1 || p.n == 1;
  if (one_b && p.batch > 1 && a_rank == batch_rank + 2) {
    const std::int64_t row = p.m == 1 ? a.strides[a_rank - 3] : p.a_row;
    std::int64_t step = row * p.m;
    bool even = true;
    for (std::size_t axis = batch_rank; axis-- > 0;) {
      even = even && (a.shape[axis] == 1 || a.strides[axis] == step);
      step *= a.shape[axis];
    }
    if (even) {
      p.m *= p.batch;
      p.batch = 1;
      p.a_row = row;
    }
  }
  return p;
}

/// The product that a call of `linear` asks for: x · weightᵀ.
template <class A>
Product product_of_linear(const KernelCall& call, bool& vector) noexcept {
  const View& x = call.in[0];
  const View& weight = call.in[1];
  const std::size_t rank = x.shape.size();
  Product p;
  p.k = x.shape[rank - 1];
  p.n = weight.shape[0];
  p.a_k = x.strides[rank - 1];
  p.b_k = weight.strides[1];
  p.b_column = weight.strides[0];

  // All leading dimensions are rows; where they do not lie evenly, the outer ones are a batch.
  std::int64_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < rank; ++axis) rows *= x.shape[axis];
  bool even = true;
  bool first = true;  // not told by the step: an expanded axis has the stride 0
  std::int64_t step = 0;
  for (std::size_t axis = rank - 1; axis-- > 0;) {
    if (x.shape[axis] == 1) continue;
    if (first)
      p.a_row = step = x.strides[axis];
    else
      even = even && x.strides[axis] == step;
    first = false;
    step *= x.shape[axis];
  }
  p.m = rows;
  if (!even) {
    p.m = x.shape[rank - 2];
    p.a_row = x.strides[rank - 2];
    p.batch = rows / p.m;
  }
  vector = rows == 1 || p.n == 1;
  return p;
}

}  // namespace troupe::cpu
