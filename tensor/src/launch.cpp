#include <troupe/tensor/exchange.hpp>
#include <troupe/tensor/launch.hpp>
#include <troupe/tensor/ops/copy.hpp>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace troupe {

Ticket make_contiguous(Device& device, const Value& value, Value& out) {
  if (value->contiguous()) {
    out = value;
    return nullptr;
  }
  const OpRef copy = make_op(Copy{});
  Value input = value;
  return launch_op(device, *copy, {&input, 1}, {&value->meta(), 1}, 0, 0, {}, {&out, 1});
}

Ticket launch_op(
    Device& device,
    const OpInstance& op,
    std::span<Value> inputs,
    std::span<const Meta> metas,
    std::uint64_t random_seed,
    std::uint64_t random_call,
    Where where,
    std::span<Value> outputs) {
  const OpInfo& info = op.info();
  if (info.family == OpFamily::view) {
    if (const auto place = info.view(op.attributes(), *inputs[0], metas[0])) {
      const ValueBody& input = *inputs[0];
      const bool same = place->offset == input.offset() && place->strides == input.strides() &&
                        metas[0] == input.meta();
      outputs[0] =
          same ? inputs[0] : ValueBody::view(inputs[0], metas[0], place->strides, place->offset);
      return nullptr;
    }
    // The layout forbids the view: the copy's memory, row-major, is the output.
    Value copy;
    Ticket ticket = make_contiguous(device, inputs[0], copy);
    outputs[0] =
        ValueBody::view(copy, metas[0], contiguous_strides(metas[0].shape), copy->offset());
    return ticket;
  }
  if (info.family == OpFamily::transfer) {
    Value to = outputs[0] = ValueBody::make(metas[0], device.allocate(metas[0].bytes()));
    return inputs[0]->device().read(
        inputs[0], [&device, to](std::span<const std::byte> bytes) { device.write(to, bytes); });
  }
  if (info.family == OpFamily::exchange) {
    const auto& call = *static_cast<const Exchange*>(op.attributes());
    if (!outputs[0]) outputs[0] = ValueBody::make(metas[0], device.allocate(metas[0].bytes()));
    return call.by->exchange(call.number, inputs, outputs[0]);
  }
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (outputs[k]) continue;
    if (info.donates >= 0) {
      const std::size_t giver = k + static_cast<std::size_t>(info.donates);
      if (giver < inputs.size()) {
        if (may_be_written(inputs[giver], metas[k])) {
          outputs[k] = inputs[giver];
          continue;
        }
      }
    }
    Ref<Buffer> buffer = device.allocate(metas[k].bytes());
    Ref<SharedMeta> meta =
        inputs.empty() ? SharedMeta::make(buffer->device(), metas[k])
                       : SharedMeta::like(inputs[0]->shared_meta(), buffer->device(), metas[k]);
    outputs[k] = ValueBody::make(std::move(meta), std::move(buffer));
  }
  return device.launch(Launch{
      &op,
      {inputs.data(), inputs.size()},
      {outputs.data(), outputs.size()},
      random_seed,
      random_call,
      where});
}

bool may_be_written(const Value& value, const Meta& output, std::uint32_t holders) noexcept {
  return value->held_by(holders) && value->buffer()->unique() && value->buffer()->writable() &&
         value->contiguous() && value->offset() == 0 && value->meta() == output;
}

bool has_nan(const Value& value) {
  const auto any_nan = [&]<class T>(T) {
    std::vector<T> elements(static_cast<std::size_t>(value->meta().elements()));
    value->device().download(value, std::as_writable_bytes(std::span<T>(elements)));
    return std::any_of(elements.begin(), elements.end(), [](T x) { return std::isnan(x); });
  };
  if (value->dtype() == DType::float32) return any_nan(float{});
  if (value->dtype() == DType::float64) return any_nan(double{});
  return false;
}

namespace {
std::string in_backward_of(std::string_view op) {
  return op.empty() ? "" : ", in the backward pass of " + std::string(op);
}
}  // namespace

Error nan_made(std::string_view op, const Meta& output, std::string_view vjp_of) {
  return Error(
             ErrorCode::nan_found,
             "made a NaN in its output " + to_string(output) + in_backward_of(vjp_of))
      .op(op)
      .hint("no input had one; a smaller learning rate or clipping often helps");
}

Error nan_came_in(
    std::string_view op, std::size_t input, const std::string& what, std::string_view vjp_of) {
  return Error(
             ErrorCode::nan_found,
             "passed on a NaN that came with its input " + std::to_string(input) + ", " + what +
                 in_backward_of(vjp_of))
      .op(op)
      .hint("no op made it: look at what was given");
}

}  // namespace troupe
