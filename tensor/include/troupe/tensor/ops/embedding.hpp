#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// Rows of a weight, looked up by number.
///
/// Shape    indices [...], weight [rows, D] → y [..., D].
/// Dtype    indices int64 or int32; weight float32 or float64; y as weight.
/// Saves    indices.
/// Errors   `shape_mismatch`, `dtype_mismatch`; `invalid_argument` for an index outside [0, rows),
///          when it runs.
/// Source   torch.nn.functional.embedding; the row `padding_idx` (−1: none) gets no gradient.
struct Embedding : OpDefaults {
  static constexpr OpId id{444};
  static constexpr std::string_view name = "embedding";
  static constexpr std::uint32_t saves_inputs = 0b01;
  static constexpr std::uint32_t no_gradient = 0b01;

  std::int64_t padding_idx = -1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_index(in[0], "input");
    require_floating(in[1], "weight");
    require_rank(in[1], 2, "weight", "[num_embeddings, embedding_dim]");
    if (padding_idx < -1 || padding_idx >= in[1].shape[0])
      throw Error(
          ErrorCode::invalid_argument,
          "'padding_idx' is " + std::to_string(padding_idx) + ", but the weight has " +
              std::to_string(in[1].shape[0]) + " rows")
          .hint("name one of the rows, or -1 for none");
    Meta meta{in[1].dtype, in[0].shape};
    meta.shape.push_back(in[1].shape[1]);
    out.push_back(meta);
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("padding_idx", padding_idx);
  }
  bool operator==(const Embedding&) const = default;
};

/// dweight: zeros, and each row of dy added to the row it was looked up from; in the order of the
/// indices, so that the same bits come out on any number of threads.
///
/// Shape    dy [..., D], indices [...] → [rows, D].
/// Dtype    dy float32 or float64, dweight as dy; indices int64 or int32.
/// Saves    indices.
/// Errors   as `Embedding`.
/// Source   linear in dy.
struct EmbeddingBackward : OpDefaults {
  static constexpr OpId id{445};
  static constexpr std::string_view name = "embedding_backward";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  std::int64_t rows = 0;
  std::int64_t padding_idx = -1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_floating(in[0], "dy");
    require_index(in[1], "indices");
    require_at_least(rows, 0, "rows");
    require_rank(in[0], in[1].shape.size() + 1, "dy", "[..., D]");
    Shape expected = in[1].shape;
    expected.push_back(in[0].shape.back());
    require_shape(in[0], expected, "dy");
    out.push_back({in[0].dtype, {rows, in[0].shape.back()}});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    gradients[0] = apply(Embedding{}, v.input(1), v.grad());
    if (padding_idx >= 0)
      gradients[0] = where(unsqueeze(eq(v.input(1), padding_idx), -1), 0, gradients[0]);
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("rows", rows);
    visit.field("padding_idx", padding_idx);
  }
  bool operator==(const EmbeddingBackward&) const = default;
};

template <class V>
Gradients Embedding::vjp(const V& v) const {
  Gradients gradients(2);
  if (v.needs(1))
    gradients[1] =
        apply(EmbeddingBackward{{}, v.input_meta(1).shape[0], padding_idx}, v.grad(), v.input(0));
  return gradients;
}

/// torch.nn.functional.embedding; a `padding_idx` of −1 means none.
[[nodiscard]] inline Tensor embedding(
    const Operand& input, const Operand& weight, std::int64_t padding_idx = -1) {
  return apply(Embedding{{}, padding_idx}, input, weight);
}

}  // namespace troupe
