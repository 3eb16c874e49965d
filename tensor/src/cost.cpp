#include <troupe/tensor/cost.hpp>
#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/embedding.hpp>
#include <troupe/tensor/ops/gather.hpp>
#include <troupe/tensor/ops/index_select.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>

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

double flops_of(const OpInstance& op, std::span<const Meta> inputs, std::span<const Meta> outputs) {
  const OpId id = op.info().id;
  if (id == Matmul::id)
    return 2 * elements(outputs[0]) * static_cast<double>(inputs[0].shape.back());
  const double bias = inputs.size() == 3 ? elements(outputs[0]) : 0;
  if (id == Linear::id)
    return 2 * elements(outputs[0]) * static_cast<double>(inputs[0].shape.back()) + bias;
  if (id == Conv2d::id) return 2 * elements(outputs[0]) * taps(inputs[1].shape) + bias;
  if (id == Conv2dBackwardInput::id) return 2 * elements(inputs[0]) * taps(inputs[1].shape);
  if (id == Conv2dBackwardWeight::id) return 2 * elements(inputs[0]) * taps(outputs[0].shape);
  double most = 0;
  for (const Meta& output : outputs) most = std::max(most, elements(output));
  if (op.info().family == OpFamily::elementwise) return most;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (static_cast<int>(i) != looked_into(id)) most = std::max(most, elements(inputs[i]));
  return most;
}

double fused_flops(
    const Fused& fused, std::span<const Meta> inputs, std::span<const Meta> outputs) {
  double flops = 0;
  if (fused.head) {
    const std::span<const Meta> of_head = inputs.first(fused.head_inputs);
    Metas result;
    fused.head->info().infer(fused.head->attributes(), of_head, result);
    flops = flops_of(*fused.head, of_head, result);
  }
  return flops + elements(outputs[0]) * static_cast<double>(fused.segment.steps.size());
}

}  // namespace

Cost cost_of(const OpInstance& op, std::span<const Meta> inputs, std::span<const Meta> outputs) {
  Cost cost;
  const OpInfo& info = op.info();
  if (info.family == OpFamily::view) return cost;
  cost.flops = info.family == OpFamily::fused
                   ? fused_flops(*static_cast<const Fused*>(op.attributes()), inputs, outputs)
                   : flops_of(op, inputs, outputs);
  for (const Meta& output : outputs) cost.bytes += bytes(output);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    cost.bytes +=
        static_cast<int>(i) == looked_into(info.id) ? bytes(outputs[0]) : bytes(inputs[i]);
  return cost;
}

}  // namespace troupe
