#pragma once

#include <troupe/nn/attention.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/nn/embedding.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/module.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/sequential.hpp>

#include <cstdint>
#include <optional>

namespace troupe::nn {

struct GPTOptions {
  std::int64_t vocab_size = 256;  ///< bytes
  std::int64_t context_length = 128;
  std::int64_t num_layers = 4;
  std::int64_t embed_dim = 256;
  std::int64_t num_heads = 4;
  std::int64_t mlp_ratio = 4;  ///< how much wider than embed_dim the middle of each MLP is
  double dropout = 0;
  bool tied = true;  ///< the head is the token embedding's weight
};

/// One layer of a GPT: x + attn(ln_1(x)), and of that, y + mlp(ln_2(y)). The MLP is c_fc, gelu by
/// tanh, c_proj, as in GPT-2.
class GPTBlock : public Layer<GPTBlock> {
 public:
  /// Of the options it takes sizes and dropout. Errors as `GPT`.
  explicit GPTBlock(const GPTOptions& options);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  LayerNorm ln_1_;
  CausalSelfAttention attn_;
  LayerNorm ln_2_;
  Sequential mlp_;
};

/// A decoder-only transformer: for each place of a sequence of tokens, the scores of each token to
/// come next; tokens int64 or int32 [N, T], T ≤ context_length, → [N, T, vocab_size]. The scores of
/// a place depend on the tokens up to it alone.
///
/// Parameters have GPT-2's names: wte.weight, wpe.weight, h.0.ln_1.weight, h.0.attn.c_attn.weight,
/// h.0.mlp.c_fc.weight, …, ln_f.weight, and lm_head.weight when the head is not tied. Weights lie
/// as nn::Linear has them, [out, in], which is GPT-2's own layout transposed. A tied head has no
/// parameter of its own: wte.weight gets the sum of both gradients, and is saved once.
///
/// Weights begin normal with deviation 0.02, those that end a residual branch with
/// 0.02 / √(2 · num_layers); biases begin at 0.
///
/// Errors   `invalid_argument` for sizes below 1, heads that do not divide embed_dim, and, when it
///          runs, for a token that is none; `shape_mismatch` for tokens of another rank or more of
///          them than context_length.
/// Source   Radford et al. 2019, section 2.3.
class GPT : public Layer<GPT> {
 public:
  explicit GPT(const GPTOptions& options = {});
  [[nodiscard]] Tensor forward(const Operand& tokens) const;
  [[nodiscard]] const GPTOptions& options() const noexcept { return options_; }

 private:
  GPTOptions options_;
  Embedding wte_;
  Embedding wpe_;
  Dropout drop_;
  ModuleList<GPTBlock> h_;
  LayerNorm ln_f_;
  std::optional<Linear> lm_head_;  // none: tied
};

}  // namespace troupe::nn
