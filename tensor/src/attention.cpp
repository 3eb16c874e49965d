#include <troupe/core/error.hpp>
#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/attention.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/ops/expand.hpp>
#include <troupe/tensor/ops/ge.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/scaled_dot_product_attention.hpp>
#include <troupe/tensor/ops/slice.hpp>
#include <troupe/tensor/ops/softmax.hpp>
#include <troupe/tensor/ops/where.hpp>

#include <cmath>
#include <limits>

namespace troupe {

namespace {

constexpr std::string_view name = "scaled_dot_product_attention";

/// By plain tensor algebra, so the L×S matrix is made.
Tensor composed(
    const Operand& query,
    const Operand& key,
    const Operand& value,
    Tensor mask,
    double dropout_p,
    bool is_causal,
    double scale) {
  const Where where_called = query.where();
  // Scaling the query costs L·E products, scaling the scores L·S.
  const Tensor scaled = mul(query, scale);
  Tensor scores = matmul(Operand(scaled, where_called), transpose(key, -2, -1));
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

/// The op, in float32 where the inputs are stored in 16 bits.
Tensor fused(const Attention& op, std::span<Tensor> inputs, Where where_called) {
  const DType dtype = inputs[0].dtype();
  const bool narrow = is_floating(dtype) && size_of(dtype) == 2;
  if (narrow)
    for (Tensor& input : inputs)
      if (input.dtype() == dtype) input = cast(Operand(input, where_called), DType::float32);
  Tensor outputs[2];
  if (inputs.size() == 1) {
    const Operand operands[] = {Operand(inputs[0], where_called)};
    apply(make_op(op), operands, outputs);
  } else {
    const Operand operands[] = {
        Operand(inputs[0], where_called),
        Operand(inputs[1], where_called),
        Operand(inputs[2], where_called)};
    apply(make_op(op), operands, outputs);
  }
  return narrow ? cast(Operand(outputs[0], where_called), dtype) : outputs[0];
}

/// With the leading sizes `batch`.
Tensor spread(const Tensor& x, Shape batch, Where where_called) {
  batch.push_back(x.size(-2));
  batch.push_back(x.size(-1));
  return x.shape() == batch ? x : expand(Operand(x, where_called), batch);
}

Shape batch_of(const Tensor& x) {
  return Shape(std::span<const std::int64_t>(x.shape().begin(), x.rank() - 2));
}

}  // namespace

Tensor scaled_dot_product_attention(
    const Operand& query,
    const Operand& key,
    const Operand& value,
    const Tensor& attn_mask,
    double dropout_p,
    bool is_causal,
    double scale) {
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
  if (attn_mask || dropout_p > 0)
    return composed(query, key, value, attn_mask, dropout_p, is_causal, scale);
  Shape batch;
  try {
    batch = broadcast(
        broadcast(batch_of(query.tensor()), batch_of(key.tensor())), batch_of(value.tensor()));
  } catch (Error& error) {
    throw std::move(error.op(name).at(where_called.file, where_called.line));
  }
  Tensor inputs[] = {
      spread(query.tensor(), batch, where_called),
      spread(key.tensor(), batch, where_called),
      spread(value.tensor(), batch, where_called)};
  return fused(Attention{{}, is_causal, scale}, inputs, where_called);
}

Tensor packed_attention(const Operand& qkv, double dropout_p, bool is_causal, double scale) {
  const Where where_called = qkv.where();
  const Tensor& all = checked_tensor(qkv, name);
  const Meta metas[] = {all.meta()};
  try {
    AttentionShapes::check(metas);
  } catch (Error& error) {
    throw std::move(error.op(name).at(where_called.file, where_called.line));
  }
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(all.size(-1)));
  if (dropout_p > 0) {
    // [3, N, heads, T, E]; all of it views.
    const Tensor split = permute(qkv, {2, 0, 3, 1, 4});
    const Tensor y = composed(
        Operand(select(split, 0, 0), where_called),
        select(split, 0, 1),
        select(split, 0, 2),
        {},
        dropout_p,
        is_causal,
        scale);
    return transpose(Operand(y, where_called), 1, 2);
  }
  Tensor inputs[] = {all};
  return fused(Attention{{}, is_causal, scale}, inputs, where_called);
}

}  // namespace troupe
