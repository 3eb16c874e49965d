#pragma once

#include <troupe/tensor/tensor.hpp>

namespace troupe {

/// softmax(query · keyᵀ · scale) · value over the last two dimensions, [..., L, E], [..., S, E] and
/// [..., S, V] → [..., L, V]; the leading sizes broadcast.
///
/// One op, `Attention`, that never makes the L×S matrix; by plain tensor algebra, which does, with
/// a mask or with dropout. 16-bit floats are computed with in float32, and float32 stays what it is
/// under Autocast.
///
/// `attn_mask` broadcasts to [..., L, S]: bool says who may be looked at, numbers are added to the
/// scores. With `is_causal` place i of L looks at places 0 … i of S. A scale of 0 means 1/√E.
///
/// Throws `shape_mismatch` and `dtype_mismatch`; `invalid_argument` for a mask beside `is_causal`.
///
/// Source   torch.nn.functional.scaled_dot_product_attention.
[[nodiscard]] Tensor scaled_dot_product_attention(
    const Operand& query,
    const Operand& key,
    const Operand& value,
    const Tensor& attn_mask = {},
    double dropout_p = 0,
    bool is_causal = false,
    double scale = 0);

/// The same for queries, keys and values of all heads side by side, as one product leaves them:
/// [N, T, 3, heads, E] → [N, T, heads, E]. Nothing is cut out of `qkv` or copied.
///
/// Throws `shape_mismatch` and `dtype_mismatch`.
[[nodiscard]] Tensor packed_attention(
    const Operand& qkv, double dropout_p = 0, bool is_causal = false, double scale = 0);

}  // namespace troupe
