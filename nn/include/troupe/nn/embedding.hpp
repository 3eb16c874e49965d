#pragma once

#include <troupe/nn/module.hpp>

#include <cstdint>
#include <optional>

namespace troupe::nn {

/// A row of the weight for each index: int64 or int32 [...] → [..., embedding_dim]. Parameter
/// weight [num_embeddings, embedding_dim], begun normal.
///
/// @param padding_idx  a row that begins as zeros and gets no gradient; negative ones count from
/// the end Errors   `invalid_argument` for a padding_idx that is no row, and, when it runs, for an
/// index that is
///          none.
class Embedding : public Layer<Embedding> {
 public:
  Embedding(
      std::int64_t num_embeddings,
      std::int64_t embedding_dim,
      std::optional<std::int64_t> padding_idx = {});

  [[nodiscard]] Tensor forward(const Operand& indices) const;
  [[nodiscard]] const Parameter& weight() const noexcept { return weight_; }

 private:
  std::optional<std::int64_t> padding_idx_;
  Parameter weight_;
};

}  // namespace troupe::nn
