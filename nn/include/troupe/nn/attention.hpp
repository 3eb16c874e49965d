#pragma once

#include <troupe/nn/dropout.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/module.hpp>

#include <cstdint>

namespace troupe::nn {

/// Multi-head self-attention in which no place looks at a later one: x [N, T, embed_dim] →
/// [N, T, embed_dim]. Each head attends with embed_dim / num_heads of the features.
///
/// Children c_attn, which makes queries, keys and values, [3 · embed_dim, embed_dim] in this order,
/// and c_proj, which mixes the heads: GPT-2's names. `torch.nn.MultiheadAttention` has the same
/// numbers as in_proj_weight and out_proj.
///
/// @param dropout  of the attention's weights and of the result
///
/// Errors   `invalid_argument` for sizes below 1 and for heads that do not divide embed_dim;
///          `shape_mismatch` for another input.
/// Source   Vaswani et al. 2017, section 3.2.
class CausalSelfAttention : public Layer<CausalSelfAttention> {
 public:
  CausalSelfAttention(
      std::int64_t embed_dim, std::int64_t num_heads, double dropout = 0, bool bias = true);

  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  std::int64_t embed_dim_;
  std::int64_t num_heads_;
  double dropout_;
  Linear c_attn_;
  Linear c_proj_;
  Dropout resid_dropout_;
};

}  // namespace troupe::nn
