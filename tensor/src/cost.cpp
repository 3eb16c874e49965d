#include <troupe/tensor/cost.hpp>
#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/ops/attention.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/embedding.hpp>
#include <troupe/tensor/ops/gather.hpp>
#include <troupe/tensor/ops/index_select.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/packed.hpp>
#include <troupe/tensor/pooled.hpp>

#include <algorithm>

namespace troupe {

namespace {

double elements(const Meta& meta) { return static_cast<double>(meta.elements()); }
double bytes(const Meta& meta) { return static_cast<double>(meta.bytes()); }

/// Products that a place of a convolution's output sums up: channels of its group times taps.
double taps(const Shape& weight) { return static_cast<double>(weight[1] * weight[2] * weight[3]); }

/// The number of the input that a lookup takes elements from; −1 for other ops.
int looked_into(OpId id) {
  if (id == Embedding::id) return 1;
  return id == Gather::id || id == IndexSelect::id ? 0 : -1;
}

/// Of `products` of the queries' features with the keys', and as many of values' with scores; under
/// the diagonal alone where only that is looked at. `qkv` holds queries, keys and values.
double attention_flops(
    std::span<const Meta> qkv, bool is_causal, double of_features, double of_values) {
  const Shape& q = qkv[0].shape;
  const bool packed = qkv.size() == 1;
  const std::size_t places = packed ? 1 : q.size() - 2;
  double heads = packed ? static_cast<double>(q[0] * q[3]) : 1;
  for (std::size_t i = 0; !packed && i < places; ++i) heads *= static_cast<double>(q[i]);
  const auto rows = static_cast<double>(q[places]);
  const auto keys = static_cast<double>(packed ? q[places] : qkv[1].shape[places]);
  double pairs = rows * keys;
  if (is_causal) {
    const double corner = std::min(rows, keys);
    pairs = corner * (corner + 1) / 2 + (rows - corner) * keys;
  }
  const auto values = static_cast<double>(qkv.back().shape.back());
  return 2 * heads * pairs * (of_features * static_cast<double>(q.back()) + of_values * values);
}

double flops_of(const OpInstance& op, std::span<const Meta> inputs, std::span<const Meta> outputs) {
  const OpId id = op.info().id;
  if (id == Pack::id) return 0;
  if (id == Matmul::id)
    return 2 * elements(outputs[0]) * static_cast<double>(inputs[0].shape.back());
  const double bias = inputs.size() == 3 ? elements(outputs[0]) : 0;
  if (id == Linear::id)
    return 2 * elements(outputs[0]) * static_cast<double>(inputs[0].shape.back()) + bias;
  if (id == Conv2d::id) return 2 * elements(outputs[0]) * taps(inputs[1].shape) + bias;
  if (id == Conv2dBackwardInput::id) return 2 * elements(inputs[0]) * taps(inputs[1].shape);
  if (id == Conv2dBackwardWeight::id) return 2 * elements(inputs[0]) * taps(outputs[0].shape);
  if (id == Attention::id)
    return attention_flops(inputs, static_cast<const Attention*>(op.attributes())->is_causal, 1, 1);
  if (id == AttentionBackward::id)
    return attention_flops(
        inputs.subspan(1, inputs.size() - 3),
        static_cast<const AttentionBackward*>(op.attributes())->is_causal,
        3,
        2);
  double most = 0;
  for (const Meta& output : outputs) most = std::max(most, elements(output));
  if (op.info().family == OpFamily::elementwise) return most;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (static_cast<int>(i) != looked_into(id)) most = std::max(most, elements(inputs[i]));
  return most;
}

double fused_flops(const Fused& fused, std::span<const Meta> inputs) {
  double flops = 0;
  if (fused.head) {
    const std::span<const Meta> of_head = inputs.first(fused.head_inputs);
    Metas result;
    fused.head->info().infer(fused.head->attributes(), of_head, result);
    flops = flops_of(*fused.head, of_head, result);
  }
  const std::size_t steps = fused.segment.steps.size() + (fused.fold ? 1 : 0);
  const auto each = static_cast<double>(
      elements_in(fused.reshapes_head ? fused.head_shape : fused.segment_shape(inputs)));
  return flops + each * static_cast<double>(steps);
}

double pooled_flops(
    const Pooled& pooled, std::span<const Meta> inputs, std::span<const Meta> outputs) {
  Metas result;
  pooled.product->info().infer(pooled.product->attributes(), inputs, result);
  return flops_of(*pooled.product, inputs, result) + flops_of(*pooled.pooling, result, outputs);
}

}  // namespace

Cost cost_of(const OpInstance& op, std::span<const Meta> inputs, std::span<const Meta> outputs) {
  Cost cost;
  const OpInfo& info = op.info();
  if (info.family == OpFamily::view) return cost;
  if (info.id == Packed::id)
    return cost_of(
        *static_cast<const Packed*>(op.attributes())->op, inputs.first(inputs.size() - 1), outputs);
  if (info.family == OpFamily::fused)
    cost.flops = fused_flops(*static_cast<const Fused*>(op.attributes()), inputs);
  else if (info.id == FusedUpdate::id)
    cost.flops = fused_flops(
        static_cast<const FusedUpdate*>(op.attributes())->prologue,
        FusedUpdate::of_prologue(inputs, outputs.size()));
  else if (info.family == OpFamily::pooled)
    cost.flops = pooled_flops(*static_cast<const Pooled*>(op.attributes()), inputs, outputs);
  else
    cost.flops = flops_of(op, inputs, outputs);
  for (const Meta& output : outputs) cost.bytes += bytes(output);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    cost.bytes +=
        static_cast<int>(i) == looked_into(info.id) ? bytes(outputs[0]) : bytes(inputs[i]);
  return cost;
}

}  // namespace troupe
