#include "text.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/gpt.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/slice.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace troupe::nn {

namespace {

std::string describe(const GPTOptions& options) {
  return "vocab_size=" + text_of(options.vocab_size) +
         ", context_length=" + text_of(options.context_length) +
         ", num_layers=" + text_of(options.num_layers) +
         ", embed_dim=" + text_of(options.embed_dim) + ", num_heads=" + text_of(options.num_heads) +
         ", mlp_ratio=" + text_of(options.mlp_ratio) + ", dropout=" + text_of(options.dropout) +
         ", tied=" + text_of(options.tied);
}

/// Before the layers take memory for what cannot be.
GPTOptions checked(const GPTOptions& options) {
  const std::int64_t least = std::min(
      {options.vocab_size,
       options.context_length,
       options.num_layers,
       options.embed_dim,
       options.num_heads,
       options.mlp_ratio});
  if (least < 1 || options.embed_dim % options.num_heads != 0)
    throw Error(ErrorCode::invalid_argument, "GPT(" + describe(options) + "): no such model")
        .hint("all sizes must be at least 1, and the heads must divide embed_dim");
  return options;
}

Sequential mlp(const GPTOptions& options) {
  const std::int64_t middle = options.mlp_ratio * options.embed_dim;
  Sequential layers;
  layers.append("c_fc", Linear(options.embed_dim, middle));
  layers.append("gelu", GELU(GeluForm::tanh));
  layers.append("c_proj", Linear(middle, options.embed_dim));
  if (options.dropout > 0) layers.append("dropout", Dropout(options.dropout));
  return layers;
}

}  // namespace

GPTBlock::GPTBlock(const GPTOptions& options)
    : Layer("GPTBlock"),
      ln_1_(register_module("ln_1", LayerNorm(checked(options).embed_dim))),
      attn_(register_module(
          "attn", CausalSelfAttention(options.embed_dim, options.num_heads, options.dropout))),
      ln_2_(register_module("ln_2", LayerNorm(options.embed_dim))),
      mlp_(register_module("mlp", mlp(options))) {}

Tensor GPTBlock::forward(const Operand& input) const {
  const Tensor x = input + attn_(ln_1_(input));
  return x + mlp_(ln_2_(x));
}

GPT::GPT(const GPTOptions& options)
    : Layer("GPT", describe(options)),
      options_(checked(options)),
      wte_(register_module("wte", Embedding(options.vocab_size, options.embed_dim))),
      wpe_(register_module("wpe", Embedding(options.context_length, options.embed_dim))),
      drop_(register_module("drop", Dropout(options.dropout))),
      h_(register_module("h", ModuleList<GPTBlock>())),
      ln_f_(options.embed_dim) {
  for (std::int64_t i = 0; i < options.num_layers; ++i) h_.append(GPTBlock(options));
  register_module("ln_f", ln_f_);
  if (!options.tied)
    lm_head_ =
        register_module("lm_head", Linear(options.embed_dim, options.vocab_size, /*bias=*/false));
  for (const auto& [path, parameter] : named_parameters()) {
    const double branches = 2 * static_cast<double>(options.num_layers);
    if (path.ends_with("c_proj.weight"))
      init::normal_(parameter, 0, 0.02 / std::sqrt(branches));
    else if (parameter.shape().size() == 2)
      init::normal_(parameter, 0, 0.02);
    else if (path.ends_with(".bias"))
      init::zeros_(parameter);
  }
}

Tensor GPT::forward(const Operand& tokens) const {
  const Shape& shape = checked_tensor(tokens, "gpt").shape();
  if (shape.size() != 2 || shape[1] > options_.context_length)
    throw Error(
        ErrorCode::shape_mismatch,
        "the tokens are " + to_string(tokens.tensor().meta()) +
            ", but must be [N, T] with T up to " + text_of(options_.context_length))
        .op("gpt")
        .hint("give it the last " + text_of(options_.context_length) + " tokens")
        .at(tokens.where().file, tokens.where().line);
  const Tensor places = wpe_.weight().tensor();
  const bool whole = shape[1] == options_.context_length;
  Tensor x = wte_(tokens) + (whole ? places : slice(places, 0, 0, shape[1]));
  if (options_.dropout > 0) x = drop_(x);
  for (const GPTBlock& block : h_) x = block(x);
  x = ln_f_(x);
  return lm_head_ ? (*lm_head_)(x) : linear(x, wte_.weight().tensor());
}

}  // namespace troupe::nn
