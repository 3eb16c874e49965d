#include "text.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/attention.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/scaled_dot_product_attention.hpp>

#include <string>

namespace troupe::nn {

namespace {

/// Before the layers take memory for what cannot be.
std::int64_t checked_width(std::int64_t embed_dim, std::int64_t num_heads) {
  if (embed_dim < 1 || num_heads < 1 || embed_dim % num_heads != 0)
    throw Error(
        ErrorCode::invalid_argument,
        "attention of " + text_of(embed_dim) + " features in " + text_of(num_heads) + " heads")
        .hint("both must be at least 1, and the heads must divide the features");
  return embed_dim;
}

}  // namespace

CausalSelfAttention::CausalSelfAttention(
    std::int64_t embed_dim, std::int64_t num_heads, double dropout, bool bias)
    : Layer(
          "CausalSelfAttention",
          "embed_dim=" + text_of(embed_dim) + ", num_heads=" + text_of(num_heads) +
              ", dropout=" + text_of(dropout) + ", bias=" + text_of(bias)),
      embed_dim_(checked_width(embed_dim, num_heads)),
      num_heads_(num_heads),
      dropout_(dropout),
      c_attn_(register_module("c_attn", Linear(embed_dim, 3 * embed_dim, bias))),
      c_proj_(register_module("c_proj", Linear(embed_dim, embed_dim, bias))),
      resid_dropout_(register_module("resid_dropout", Dropout(dropout))) {}

Tensor CausalSelfAttention::forward(const Operand& input) const {
  const Tensor& x = checked_tensor(input, "attention");
  if (x.rank() != 3 || x.size(2) != embed_dim_)
    throw Error(
        ErrorCode::shape_mismatch,
        "the input is " + to_string(x.meta()) + ", but must be [N, T, " + text_of(embed_dim_) + "]")
        .op("attention")
        .hint("unsqueeze() adds a dimension of size 1")
        .at(input.where().file, input.where().line);
  const std::int64_t batch = x.size(0);
  const std::int64_t places = x.size(1);
  const Tensor attended = packed_attention(
      reshape(c_attn_(input), {batch, places, 3, num_heads_, embed_dim_ / num_heads_}),
      training() ? dropout_ : 0,
      /*is_causal=*/true);
  const Tensor joined = reshape(attended, {batch, places, embed_dim_});
  const Tensor mixed = c_proj_(joined);
  return dropout_ > 0 ? resid_dropout_(mixed) : mixed;
}

}  // namespace troupe::nn
