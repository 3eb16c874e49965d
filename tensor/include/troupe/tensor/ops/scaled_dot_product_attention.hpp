#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/ops/ge.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/softmax.hpp>
#include <troupe/tensor/ops/where.hpp>

#include <cmath>
#include <limits>

namespace troupe {

/// softmax(query · keyᵀ · scale) · value over the last two dimensions, [..., L, E], [..., S, E] and
/// [..., S, V] → [..., L, V]; by plain tensor algebra, so the L×S matrix is made.
///
/// `attn_mask` broadcasts to [..., L, S]: bool says who may be looked at, numbers are added to the
/// scores. With `is_causal` place i of L looks at places 0 … i of S. A scale of 0 means 1/√E.
///
/// Throws as matmul does; `invalid_argument` for a mask beside `is_causal`.
///
/// Source   torch.nn.functional.scaled_dot_product_attention.
[[nodiscard]] inline Tensor scaled_dot_product_attention(
    const Operand& query,
    const Operand& key,
    const Operand& value,
    const Tensor& attn_mask = {},
    double dropout_p = 0,
    bool is_causal = false,
    double scale = 0) {
  constexpr std::string_view name = "scaled_dot_product_attention";
  const Where where_called = query.where();
  if (attn_mask && is_causal)
    throw Error(
        ErrorCode::invalid_argument, "a mask was given beside 'is_causal', which makes its own")
        .op(name)
        .hint("leave one of the two out, or put the triangle into the mask")
        .at(where_called.file, where_called.line);
  for (const Operand& x : {query, key, value})
    if (checked_tensor(x, name).rank() < 2)
      throw Error(
          ErrorCode::shape_mismatch,
          "an input is " + to_string(x.tensor().meta()) + ", but must be [..., places, features]")
          .op(name)
          .hint("unsqueeze() adds a dimension of size 1")
          .at(where_called.file, where_called.line);
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(query.tensor().size(-1)));
  // Scaling the query costs L·E products, scaling the scores L·S.
  const Tensor scaled = mul(query, scale);
  Tensor scores = matmul(Operand(scaled, where_called), transpose(key, -2, -1));
  Tensor mask = attn_mask;
  if (is_causal) mask = ge(unsqueeze(arange(scores.size(-2)), 1), arange(scores.size(-1)));
  if (mask)
    scores =
        mask.dtype() == DType::boolean
            ? where(Operand(mask, where_called), scores, -std::numeric_limits<double>::infinity())
            : add(Operand(scores, where_called), mask);
  Tensor weights = softmax(Operand(scores, where_called), -1);
  if (dropout_p > 0) weights = dropout(Operand(weights, where_called), dropout_p);
  return matmul(Operand(weights, where_called), value);
}

}  // namespace troupe
