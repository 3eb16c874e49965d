#include "segment.hpp"

#include "repeat.hpp"

#include <troupe/core/error.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace troupe::cpu {

namespace {

/// On the stack of whoever runs a chunk.
constexpr std::size_t slots_bytes_max = std::size_t{96} << 10;
/// Elements of a tile: shorter ones cost more in calls than they save in the cache.
constexpr std::int64_t tile_least = 64;
constexpr std::int64_t tile_most = 1024;
/// What all slots together should not take more of: the rest of the first-level cache is for what
/// comes in and goes out.
constexpr std::size_t cached_bytes = std::size_t{24} << 10;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}
std::int64_t least_tile(std::int64_t elements) noexcept {
  return std::min(round_up(std::max<std::int64_t>(elements, 1), 16), tile_least);
}

template <class Word>
void copy_as(const std::byte* from, std::int64_t step, std::byte* to, std::int64_t n) noexcept {
  const auto* const words = reinterpret_cast<const Word*>(from);
  auto* const out = reinterpret_cast<Word*>(to);
  for (std::int64_t i = 0; i < n; ++i) out[i] = words[i * step];
}

/// `n` elements `step` apart.
void copy_run(
    std::size_t bytes,
    const std::byte* from,
    std::int64_t step,
    std::byte* to,
    std::int64_t n) noexcept {
  if (step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * bytes);
    return;
  }
  if (step == 0) return repeat(from, bytes, to, n);
  const auto as = [&]<class Word>(Word) { copy_as<Word>(from, step, to, n); };
  switch (bytes) {
    case 8:
      return as(std::uint64_t{});
    case 4:
      return as(std::uint32_t{});
    case 2:
      return as(std::uint16_t{});
    default:
      return as(std::uint8_t{});
  }
}

/// Puts elements `begin` to before `begin + n` of the walk over `shape` side by side.
void gather(
    const SegmentCall::Operand& operand,
    const Shape& shape,
    std::int64_t begin,
    std::int64_t n,
    std::byte* to) noexcept {
  const std::size_t rank = shape.size();
  std::int64_t index[rank_max];
  std::int64_t offset = 0;
  for (std::size_t d = rank; d-- > 0;) {
    index[d] = begin % shape[d];
    begin /= shape[d];
    offset += index[d] * operand.strides[d];
  }
  const std::size_t last = rank - 1;
  while (true) {
    const std::int64_t run = std::min(n, shape[last] - index[last]);
    copy_run(
        operand.bytes,
        operand.data + offset * static_cast<std::int64_t>(operand.bytes),
        operand.strides[last],
        to,
        run);
    n -= run;
    if (n == 0) return;
    to += run * static_cast<std::int64_t>(operand.bytes);
    // The row is at its end: on to the next.
    offset -= index[last] * operand.strides[last];
    index[last] = 0;
    for (std::size_t d = last; d-- > 0;) {
      offset += operand.strides[d];
      if (++index[d] < shape[d]) break;
      offset -= index[d] * operand.strides[d];
      index[d] = 0;
    }
  }
}

/// The outputs' axes, those merged that all inputs step through alike: fewer and longer rows.
struct Axes {
  Shape sizes;
  std::int64_t strides[segment_operands_max][rank_max];
};

Axes merged(const Shape& shape, std::span<const View> inputs) noexcept {
  Axes axes;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    std::int64_t steps[segment_operands_max];
    bool merges = !axes.sizes.empty();
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const std::size_t missing = shape.size() - inputs[k].shape.size();
      const bool repeats = d < missing || inputs[k].shape[d - missing] == 1;
      steps[k] = repeats ? 0 : inputs[k].strides[d - missing];
      merges = merges && axes.strides[k][axes.sizes.size() - 1] == steps[k] * shape[d];
    }
    if (merges)
      axes.sizes[axes.sizes.size() - 1] *= shape[d];
    else
      axes.sizes.push_back(shape[d]);
    for (std::size_t k = 0; k < inputs.size(); ++k)
      axes.strides[k][axes.sizes.size() - 1] = steps[k];
  }
  if (axes.sizes.empty()) {
    axes.sizes.push_back(1);
    for (std::size_t k = 0; k < inputs.size(); ++k) axes.strides[k][0] = 1;
  }
  return axes;
}

}  // namespace

std::size_t SegmentKernel::values_max(std::int64_t elements) noexcept {
  return slots_bytes_max / (static_cast<std::size_t>(least_tile(elements)) * 8) -
         segment_operands_max;
}

SegmentKernel::SegmentKernel(
    const Fused& fused,
    std::span<const DType> inputs,
    const Shape& shape,
    const ExpressionOf& expression_of)
    : inputs_(inputs.size()),
      outputs_(fused.segment_outputs()),
      hands_on_(fused.fold && !fused.folded_output()),
      shape_(shape) {
  const Segment& segment = fused.segment;
  const std::size_t numbers = inputs_ + segment.steps.size();
  std::vector<DType> dtypes(inputs.begin(), inputs.end());
  std::vector<std::size_t> last_use(numbers, 0);  // steps, from 1 on
  std::vector<std::uint16_t> place(numbers);
  for (std::size_t k = 0; k < inputs_; ++k) {
    place[k] = static_cast<std::uint16_t>(k);
    bytes_ += size_of(inputs[k]);
  }
  for (std::size_t s = 0; s < segment.steps.size(); ++s)
    for (std::size_t i = 0; i < segment.steps[s].op->info().arity; ++i)
      last_use[segment.steps[s].from[i]] = s + 1;
  std::vector<std::uint16_t> output_of(numbers, 0);  // from 1 on
  if (segment.outputs.empty() && outputs_ > 0) output_of[numbers - 1] = 1;
  for (std::size_t k = 0; k < segment.outputs.size(); ++k)
    output_of[segment.outputs[k]] = static_cast<std::uint16_t>(k + 1);
  if (hands_on_) output_of[fused.folded] = static_cast<std::uint16_t>(outputs_ + 1);

  const std::size_t first_slot = inputs_ + outputs_ + (hands_on_ ? 1 : 0);
  std::vector<std::uint16_t> free;
  for (std::size_t s = 0; s < segment.steps.size(); ++s) {
    const Segment::Step& given = segment.steps[s];
    const OpInfo& info = given.op->info();
    Step step{};
    step.arity = info.arity;
    const DType dtype = dtypes[given.from[info.arity - 1]];
    step.expression = expression_of(*given.op, dtype);
    step.attributes = given.op->attributes();
    for (std::size_t i = 0; i < info.arity; ++i) step.from[i] = place[given.from[i]];
    Metas result;
    Meta operands[3];
    for (std::size_t i = 0; i < info.arity; ++i) operands[i].dtype = dtypes[given.from[i]];
    info.infer(given.op->attributes(), {operands, info.arity}, result);
    // Slots of what is read for the last time. The result may take one over if its elements are as
    // wide: then an element is written where it was read.
    const DType made = result[0].dtype;
    const std::size_t number = inputs_ + s;
    if (output_of[number] > 0) {
      step.to = static_cast<std::uint16_t>(inputs_ + output_of[number] - 1);
      bytes_ += size_of(made);
    }
    std::size_t freed = free.size();
    for (std::size_t i = 0; i < info.arity; ++i) {
      const std::uint16_t from = given.from[i];
      if (last_use[from] != s + 1 || place[from] < first_slot) continue;
      last_use[from] = 0;  // once, though the step may read it twice
      if (step.to == 0 && output_of[number] == 0 && size_of(dtypes[from]) == size_of(made))
        step.to = place[from];
      else
        free.push_back(place[from]);
    }
    if (output_of[number] == 0) {
      if (step.to == 0 && freed > 0) {
        step.to = free[--freed];
        free.erase(free.begin() + static_cast<std::ptrdiff_t>(freed));
      }
      if (step.to == 0) step.to = static_cast<std::uint16_t>(first_slot + slots_++);
      slot_bytes_ = std::max(slot_bytes_, size_of(made));
    }
    dtypes.push_back(made);
    place[number] = step.to;
    steps_.push_back(step);
  }
  if (fused.fold) folded_ = dtypes[fused.folded];
  if (slots_ > values_max(elements_in(shape)))
    throw Error(ErrorCode::internal, "a segment keeps more values than its stack has room for");
}

std::int64_t SegmentKernel::chunk_elements() const noexcept {
  const auto steps = static_cast<std::int64_t>(steps_.size());
  return std::clamp<std::int64_t>(round_up(131'072 / (steps + 3), 1024), 2048, 32'768);
}

double SegmentKernel::cost_ns(std::int64_t elements) const noexcept {
  // 15 GB/s of what comes and goes, and 16 bytes a ns of what the steps give each other.
  return static_cast<double>(elements) *
         (static_cast<double>(bytes_) / 15 + static_cast<double>(steps_.size()) / 4);
}

void SegmentKernel::prepare(
    SegmentCall& call, std::span<const View> inputs, std::span<const View> outputs) const noexcept {
  call.kernel = this;
  const Axes axes = merged(shape_, inputs);
  call.shape = axes.sizes;
  std::size_t slots = slots_;
  std::size_t bytes = slot_bytes_;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    SegmentCall::Operand& operand = call.operands[k];
    operand.data = inputs[k].as<std::byte>();
    operand.bytes = size_of(inputs[k].dtype);
    const std::int64_t* const strides = axes.strides[k];
    bool plain = true;
    bool repeated = true;
    std::int64_t step = 1;
    for (std::size_t d = axes.sizes.size(); d-- > 0; step *= axes.sizes[d]) {
      plain = plain && strides[d] == step;
      repeated = repeated && strides[d] == 0;
    }
    operand.place = plain      ? SegmentCall::Place::plain
                    : repeated ? SegmentCall::Place::repeated
                               : SegmentCall::Place::gathered;
    if (plain) continue;
    std::copy_n(strides, axes.sizes.size(), operand.strides);
    operand.slot = static_cast<std::uint16_t>(slots++);
    bytes = std::max(bytes, operand.bytes);
  }
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    SegmentCall::Operand& operand = call.operands[inputs.size() + k];
    operand.data = outputs[k].as<std::byte>();
    operand.bytes = size_of(outputs[k].dtype);
  }
  if (hands_on_) {
    SegmentCall::Operand& operand = call.operands[inputs.size() + outputs.size()];
    operand.bytes = size_of(folded_);
    operand.place = SegmentCall::Place::handed;
  }
  std::int64_t elements = 1;
  for (const std::int64_t size : axes.sizes) elements *= size;
  const auto fits =
      static_cast<std::int64_t>(cached_bytes / (std::max<std::size_t>(slots, 1) * bytes));
  call.tile = std::clamp(fits / 64 * 64, least_tile(elements), tile_most);
  call.slot_bytes = static_cast<std::size_t>(call.tile) * bytes;
}

void SegmentKernel::make(
    const SegmentCall& call,
    std::int64_t begin,
    std::int64_t rows,
    std::int64_t row_step,
    std::int64_t width,
    void* to) noexcept {
  const SegmentKernel& kernel = *call.kernel;
  alignas(64) std::byte slots[slots_bytes_max];
  std::byte* at[segment_operands_max + slots_bytes_max / (16 * 8)];
  const std::size_t operands = kernel.inputs_ + kernel.outputs_ + (kernel.hands_on_ ? 1 : 0);
  auto* handed = static_cast<std::byte*>(to);
  for (std::size_t i = 0; i < kernel.slots_; ++i) at[operands + i] = slots + i * call.slot_bytes;
  const std::int64_t longest = std::min(call.tile, width);
  for (std::size_t k = 0; k < kernel.inputs_; ++k) {
    const SegmentCall::Operand& operand = call.operands[k];
    if (operand.place == SegmentCall::Place::plain) continue;
    at[k] = slots + operand.slot * call.slot_bytes;
    if (operand.place == SegmentCall::Place::repeated)
      repeat(operand.data, operand.bytes, at[k], longest);
  }
  for (; rows > 0; --rows, begin += row_step - width)
    for (const std::int64_t end = begin + width; begin < end;) {
      const std::int64_t n = std::min(call.tile, end - begin);
      for (std::size_t k = 0; k < operands; ++k) {
        const SegmentCall::Operand& operand = call.operands[k];
        if (operand.place == SegmentCall::Place::plain)
          at[k] = operand.data + begin * static_cast<std::int64_t>(operand.bytes);
        else if (operand.place == SegmentCall::Place::gathered)
          gather(operand, call.shape, begin, n, at[k]);
        else if (operand.place == SegmentCall::Place::handed)
          at[k] = std::exchange(handed, handed + n * static_cast<std::int64_t>(operand.bytes));
      }
      for (const Step& step : kernel.steps_) {
        const void* const from[3] = {at[step.from[0]], at[step.from[1]], at[step.from[2]]};
        step.expression(step.attributes, at[step.to], from, n);
      }
      begin += n;
    }
}

}  // namespace troupe::cpu
