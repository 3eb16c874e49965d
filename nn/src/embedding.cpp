#include "text.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/embedding.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/tensor/ops/embedding.hpp>
#include <troupe/tensor/ops/mul.hpp>

#include <string>
#include <vector>

namespace troupe::nn {

namespace {

/// 1 in every row but one.
Tensor all_rows_but(std::int64_t row, std::int64_t rows) {
  std::vector<float> keep(static_cast<std::size_t>(rows), 1.0F);
  keep[static_cast<std::size_t>(row)] = 0;
  return Tensor::copy_of<float>(keep, {rows, 1});
}

}  // namespace

Embedding::Embedding(
    std::int64_t num_embeddings,
    std::int64_t embedding_dim,
    std::optional<std::int64_t> padding_idx)
    : Layer(
          "Embedding",
          text_of(num_embeddings) + ", " + text_of(embedding_dim) +
              (padding_idx ? ", padding_idx=" + text_of(*padding_idx) : "")),
      padding_idx_(padding_idx) {
  if (num_embeddings < 0 || embedding_dim < 0)
    throw Error(ErrorCode::invalid_argument, "Embedding(" + description() + "): a negative size");
  Tensor rows = init::normal({num_embeddings, embedding_dim});
  if (padding_idx_) {
    if (*padding_idx_ < 0) *padding_idx_ += num_embeddings;
    if (*padding_idx_ < 0 || *padding_idx_ >= num_embeddings)
      throw Error(
          ErrorCode::invalid_argument,
          "Embedding(" + description() + "): there is no row " + text_of(*padding_idx));
    rows = rows * all_rows_but(*padding_idx_, num_embeddings);
  }
  weight_ = register_parameter("weight", rows);
}

Tensor Embedding::forward(const Operand& indices) const {
  return embedding(indices, weight_.tensor(), padding_idx_.value_or(-1));
}

}  // namespace troupe::nn
