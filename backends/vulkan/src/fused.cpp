#include "fused.hpp"

#include "chain.hpp"
#include "epilogue.hpp"
#include "fold.hpp"
#include "prologue.hpp"
#include "vulkan_device.hpp"

#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/ops/all.hpp>
#include <troupe/tensor/ops/amax.hpp>
#include <troupe/tensor/ops/amin.hpp>
#include <troupe/tensor/ops/any.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/mean.hpp>
#include <troupe/tensor/ops/prod.hpp>
#include <troupe/tensor/ops/sum.hpp>

#include <limits>
#include <vector>

namespace troupe::vulkan {

namespace {

/// Of an op whose shader takes its elements by shaders/element.glsl; null for other ops.
const Dims* axes_of_fold(const OpInstance& op) noexcept {
  const OpId id = op.info().id;
  if (id != Sum::id && id != Mean::id && id != Prod::id && id != Amax::id && id != Amin::id &&
      id != All::id && id != Any::id)
    return nullptr;
  return &static_cast<const Fold*>(op.attributes())->axes;
}

void encode_chain(VulkanDevice& device, const Launch& launch, const Fused& fused, Sink& sink) {
  FoldedChain chain;
  chain.segment = fused.segment;
  chain.folded = fused.folded_output().value_or(chain.segment.outputs.size());
  if (!fused.folded_output()) chain.segment.outputs.push_back(fused.folded);
  chain.inputs = launch.inputs;
  chain.stored = launch.outputs.first(launch.outputs.size() - 1);
  std::vector<DType> dtypes;
  for (const Value& input : launch.inputs) {
    chain.shape = broadcast(chain.shape, input->shape());
    dtypes.push_back(input->dtype());
  }
  for (const Segment::Step& step : fused.segment.steps) {
    const OpInfo& op = step.op->info();
    Meta operands[3];
    for (std::size_t i = 0; i < op.arity; ++i) operands[i].dtype = dtypes[step.from[i]];
    Metas result;
    op.infer(step.op->attributes(), {operands, op.arity}, result);
    dtypes.push_back(result[0].dtype);
  }
  chain.dtype = dtypes[fused.folded];
  Launch fold = launch;
  fold.op = fused.fold.get();
  fold.outputs = launch.outputs.last(1);
  Encoder encoder(device, fold, sink, nullptr, &chain);
  device.encode(encoder);
}

}  // namespace

bool has_room_for(const Fused& fused, std::span<const Meta> inputs, const Meta& result) noexcept {
  const OpId head = fused.head->info().id;
  const bool is_matrix = head == Matmul::id || head == Linear::id;
  if (!is_matrix && head != Conv2d::id && head != Conv2dBackwardInput::id) return false;
  if (fused.keeps_head || fused.segment.outputs.size() > 1 || fused.segment.inputs > 2 ||
      (result.dtype != DType::float32 && result.dtype != DType::float64))
    return false;
  if (fused.segment.inputs == 1) return true;
  const Shape& other = inputs.back().shape;
  return other == result.shape || elements_in(other) == 1 ||
         (is_matrix && other.size() == 1 && !result.shape.empty() &&
          other[0] == result.shape.back());
}

bool has_room_for_chain(
    const Fused& fused, std::span<const Meta> inputs, const Meta& folded, bool software) noexcept {
  const Dims* const axes = axes_of_fold(*fused.fold);
  if (!axes || fused.head || folded.elements() > std::numeric_limits<std::int32_t>::max())
    return false;
  const FoldShape shape = FoldShape::of(folded.shape, *axes);
  if (shape.reordered) return false;
  // An invocation goes down a column: to a processor's caches each tensor that is read or written
  // that way costs more than a pass of its own in the order of memory.
  if (software && shape.inner > 1) return false;
  Shape shapes[bindings_max];
  if (inputs.size() > bindings_max) return false;
  for (std::size_t k = 0; k < inputs.size(); ++k) shapes[k] = inputs[k].shape;
  return chain_has_room(inputs.size(), fused.segment.outputs.size()) &&
         ChainPlaces::of(folded.shape, {shapes, inputs.size()});
}

void encode_fused(VulkanDevice& device, const Launch& launch, Sink& sink) {
  const Fused& fused = *static_cast<const Fused*>(launch.op->attributes());
  if (fused.fold) return encode_chain(device, launch, fused, sink);
  if (!fused.head) {
    Encoder encoder(device, launch, sink);
    return encode_segment(encoder, fused.segment, launch.inputs, launch.outputs);
  }
  Launch head = launch;
  head.op = fused.head.get();
  head.inputs = launch.inputs.first(fused.head_inputs);
  Epilogue epilogue;
  epilogue.segment = fused.segment;
  if (fused.segment.inputs > 1) epilogue.other = launch.inputs.back();
  Encoder encoder(device, head, sink, &epilogue);
  device.encode(encoder);
}

void encode_update(VulkanDevice& device, const Launch& launch, Sink& sink) {
  const Fused& fused = static_cast<const FusedUpdate*>(launch.op->attributes())->prologue;
  Launch rule = launch;
  rule.op = fused.fold.get();
  const auto& prologue = static_cast<const Prologue&>(*fused.executable);
  Encoder encoder(device, rule, sink, nullptr, nullptr, &prologue);
  device.encode(encoder);
}

}  // namespace troupe::vulkan
