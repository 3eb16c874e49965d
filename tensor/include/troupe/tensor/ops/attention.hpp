#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <limits>

namespace troupe {

/// What Attention and its gradient are asked for. Queries, keys and values are three tensors, or
/// one that holds them side by side, as the product that makes all three leaves them: then nothing
/// is cut out of it, and the gradient is one tensor too.
struct AttentionShapes {
  /// How many inputs hold queries, keys and values.
  static constexpr std::size_t apart = 3;

  static void check(std::span<const Meta> qkv) {
    if (qkv.size() == 1) {
      require_rank(qkv[0], 5, "qkv", "[N, T, 3, heads, E]");
      if (qkv[0].shape[2] == 3) return;
      throw Error(
          ErrorCode::shape_mismatch,
          "'qkv' has shape " + to_string(qkv[0].shape) + ", but its third size must be 3")
          .hint("queries, keys and values lie side by side: [N, T, 3, heads, E]");
    }
    require_rank_at_least(qkv[0], 2, "query", "[..., L, E]");
    const Shape& q = qkv[0].shape;
    const std::size_t rank = q.size();
    Shape key = q;
    require_rank(qkv[1], rank, "key", "as the query");
    key[rank - 2] = qkv[1].shape[rank - 2];
    require_shape(qkv[1], key, "key");
    require_rank(qkv[2], rank, "value", "as the query");
    key[rank - 1] = qkv[2].shape[rank - 1];
    require_shape(qkv[2], key, "value");
  }
  /// The shape of the result.
  static Shape result(std::span<const Meta> qkv) {
    Shape shape = qkv[0].shape;
    if (qkv.size() == 1) {
      shape[2] = shape[3];
      shape[3] = shape[4];
      shape.erase(4);
    } else {
      shape[shape.size() - 1] = qkv[2].shape.back();
    }
    return shape;
  }
  /// One number for each query, by heads.
  static Shape rows(std::span<const Meta> qkv) {
    const Shape& q = qkv[0].shape;
    if (qkv.size() == 1) return {q[0], q[3], q[1]};
    return Shape(std::span<const std::int64_t>(q.begin(), q.size() - 1));
  }
};

/// y = softmax(query · keyᵀ · scale) · value by heads, without the matrix of scores: it is made
/// block by block, and made again by the gradient.
///
/// Shape    query [..., L, E], key [..., S, E], value [..., S, V] → y [..., L, V] and the logarithm
///          of each row's sum of powers, [..., L]; or all three as qkv [N, T, 3, heads, E] → [N, T,
///          heads, E] and [N, heads, T].
/// Dtype    float32 or float64, all the same.
/// Saves    the inputs and both outputs: no memory grows with L·S.
/// Errors   `shape_mismatch`.
/// Source   Dao et al. 2022, FlashAttention; torch.nn.functional.scaled_dot_product_attention. With
///          `is_causal` place i of L looks at places 0 … i of S. Where S is 0, y is 0. What a place
///          must not look at has the weight 0 or takes no part, so that a NaN or infinity there may
///          or may not be seen.
struct Attention : OpDefaults {
  static constexpr OpId id{500};
  static constexpr std::string_view name = "attention";
  static constexpr std::uint32_t saves_inputs = 0b111;
  static constexpr std::uint32_t saves_outputs = 0b11;

  bool is_causal = false;
  double scale = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 3);
    if (in.size() != 1) require_inputs(in, 3, 3);
    if (in.size() == 1)
      require_all_floating(in, {"qkv"});
    else
      require_all_floating(in, {"query", "key", "value"});
    AttentionShapes::check(in);
    out.push_back({in[0].dtype, AttentionShapes::result(in)});
    out.push_back({in[0].dtype, AttentionShapes::rows(in)});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("is_causal", is_causal);
    visit.field("scale", scale);
  }
  bool operator==(const Attention&) const = default;
};

/// The gradients of attention. With P the softmax, D = dy · valueᵀ and W = P · (D − Σ dy·y):
/// dquery = W · key · scale, dkey = Wᵀ · query · scale, dvalue = Pᵀ · dy.
///
/// Shape    dy, attention's one or three inputs, y and the logarithms → as those inputs.
/// Dtype    float32 or float64, all the same.
/// Saves    dy and attention's inputs.
/// Errors   as `Attention`.
/// Source   Dao et al. 2022, algorithm 4. Its own derivative, by hand, makes matrices of L·S.
struct AttentionBackward : OpDefaults {
  static constexpr OpId id{501};
  static constexpr std::string_view name = "attention_backward";
  static constexpr std::uint32_t saves_inputs = 0b1111;
  static constexpr std::uint32_t no_gradient = 0b110000;  // with qkv: not asked for either

  bool is_causal = false;
  double scale = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 4, 6);
    if (in.size() != 4) require_inputs(in, 6, 6);
    const std::span<const Meta> qkv = in.subspan(1, in.size() - 3);
    if (in.size() == 4)
      require_all_floating(in, {"dy", "qkv", "y", "logarithms"});
    else
      require_all_floating(in, {"dy", "query", "key", "value", "y", "logarithms"});
    AttentionShapes::check(qkv);
    require_shape(in[0], AttentionShapes::result(qkv), "dy");
    require_shape(in[in.size() - 2], AttentionShapes::result(qkv), "y");
    require_shape(in[in.size() - 1], AttentionShapes::rows(qkv), "logarithms");
    for (const Meta& meta : qkv) out.push_back(meta);
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("is_causal", is_causal);
    visit.field("scale", scale);
  }
  bool operator==(const AttentionBackward&) const = default;
};

template <class V>
Gradients Attention::vjp(const V& v) const {
  using T = std::remove_cvref_t<decltype(v.grad(0))>;
  const std::size_t count = v.input_count();
  Gradients gradients(count);
  if (!v.grad(0)) return gradients;
  const AttentionBackward backward{{}, is_causal, scale};
  T outputs[AttentionShapes::apart];
  if (count == 1) {
    const Operand inputs[] = {v.grad(0), v.input(0), v.output(0), v.output(1)};
    apply(make_op(backward), inputs, {outputs, 1});
  } else {
    const Operand inputs[] = {
        v.grad(0), v.input(0), v.input(1), v.input(2), v.output(0), v.output(1)};
    apply(make_op(backward), inputs, outputs);
  }
  for (std::size_t i = 0; i < count; ++i) gradients[i] = outputs[i];
  return gradients;
}

/// With A, B, C the gradients of dquery, dkey and dvalue, Z the scores, and E = D − Σ P·D:
///
///     M = (A · keyᵀ + query · Bᵀ) · scale          what comes down to W
///     U = P · (M − Σ M·P)                          to D
///     R = dy · Cᵀ + M·E − D · Σ M·P                to P
///     Y = P · (R − Σ P·R)                          to Z
///     for dy     U · value + P · C
///     for query  Y · key · scale + W · B · scale
///     for key    Yᵀ · query · scale + Wᵀ · A · scale
///     for value  Uᵀ · dy
template <class V>
Gradients AttentionBackward::vjp(const V& v) const {
  using T = std::remove_cvref_t<decltype(v.grad(0))>;
  const bool packed = v.input_count() == 4;
  // [N, T, 3, heads, E] → [N, heads, T, E], and [N, T, heads, E] likewise.
  const auto part = [](const T& all, std::int64_t i) {
    return all ? transpose(select(all, 2, i), 1, 2) : T();
  };
  const auto given = [&](std::size_t i) {
    return packed ? part(v.input(1), static_cast<std::int64_t>(i)) : T(v.input(1 + i));
  };
  const auto asked = [&](std::size_t i) {
    return packed ? part(v.grad(0), static_cast<std::int64_t>(i)) : T(v.grad(i));
  };
  const auto turned = [](const T& x) { return transpose(x, -2, -1); };
  const auto plus = [](const T& sum, const T& term) { return sum ? sum + term : term; };
  const auto total = [](const T& x) { return sum(x, {-1}, true); };
  const T dy = packed ? transpose(v.input(0), 1, 2) : T(v.input(0));
  const T query = given(0);
  const T key = given(1);
  const T value = given(2);
  const T A = asked(0);
  const T B = asked(1);
  const T C = asked(2);

  T scores = matmul(query * scale, turned(key));
  if (is_causal) {
    const T yes = ge(isnan(scores), 0);  // made of what is there: a turn makes no constants
    scores = where(
        ge(cumsum(yes, -2), cumsum(yes, -1)), scores, -std::numeric_limits<double>::infinity());
  }
  const T P = softmax(scores, -1);
  const T D = matmul(dy, turned(value));
  const T centered = D - total(P * D);
  const T W = P * centered;
  T M;
  if (A) M = plus(M, matmul(A, turned(key)) * scale);
  if (B) M = plus(M, matmul(query, turned(B)) * scale);
  T R;
  if (C) R = plus(R, matmul(dy, turned(C)));
  T U;
  if (M) {
    const T mean = total(M * P);
    U = P * (M - mean);
    R = plus(R, M * centered - D * mean);
  }
  Gradients gradients(v.input_count());
  if (!R) return gradients;
  const T Y = P * (R - total(P * R));
  T for_dy;
  if (U) for_dy = plus(for_dy, matmul(U, value));
  if (C) for_dy = plus(for_dy, matmul(P, C));
  T for_query = matmul(Y, key) * scale;
  if (B) for_query = for_query + matmul(W, B) * scale;
  T for_key = matmul(turned(Y), query) * scale;
  if (A) for_key = for_key + matmul(turned(W), A) * scale;
  T for_value;
  if (U) for_value = matmul(turned(U), dy);
  if (!packed) {
    gradients[0] = for_dy;
    gradients[1] = for_query;
    gradients[2] = for_key;
    gradients[3] = for_value;
    return gradients;
  }
  gradients[0] = transpose(for_dy, 1, 2);
  const auto beside = [](const T& x) { return unsqueeze(transpose(x, 1, 2), 2); };
  const T all[] = {beside(for_query), beside(for_key), beside(for_value)};
  gradients[1] = concat(all, 2);
  return gradients;
}

}  // namespace troupe
