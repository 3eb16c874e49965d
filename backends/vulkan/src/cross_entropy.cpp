#include "lines.hpp"
#include "loss_total.hpp"
#include "number.hpp"

#include <troupe/tensor/ops/cross_entropy.hpp>

namespace troupe::vulkan {

namespace {

/// What the three kernels share: the inputs, which begin at different places, and the parameters.
class Samples {
 public:
  struct Params {
    LineParams line;
    std::uint32_t op;
    std::uint32_t ignored_low;
    std::uint32_t ignored_high;
    Number keep;
    Number share;
  };

  Value logits;
  Value target;
  Value statistics;
  Value divisor;
  Value weight;
  bool weighted;
  Lines lines;
  Params params;

  /// `logits_at`: the position of the logits among the op's inputs.
  Samples(Encoder& encoder, const CrossEntropyRule& rule, std::size_t logits_at)
      : logits(encoder.contiguous(encoder.in(logits_at))),
        target(encoder.contiguous(encoder.in(logits_at + 1))) {
    std::size_t next = logits_at + 2;
    if (logits_at > 0) {
      statistics = encoder.contiguous(encoder.in(next++));
      divisor = encoder.contiguous(encoder.in(next++));
    }
    weighted = next < encoder.inputs();
    weight = weighted ? encoder.contiguous(encoder.in(next)) : logits;
    const Axis axis = Axis::of(
        logits->shape(), static_cast<std::int64_t>(CrossEntropyRule::class_axis(logits->shape())));
    lines = Lines::of(encoder, axis);
    const DType dtype = logits->dtype();
    params = {
        lines.params,
        encoder.fault_code(),
        static_cast<std::uint32_t>(rule.ignore_index),
        static_cast<std::uint32_t>(rule.ignore_index >> 32),
        Number::of(dtype, 1 - rule.label_smoothing),
        Number::of(dtype, rule.label_smoothing / static_cast<double>(axis.length))};
  }
  /// Runs a shader of the three over all samples, if there are any: its bindings begin with the
  /// inputs, and end with `others` and the fault.
  void dispatch(
      Encoder& encoder,
      const ShaderByDType& shaders,
      Reduction reduction,
      std::initializer_list<Operand> others) const {
    if (lines.params.lines == 0) return;
    Operand operands[bindings_max];
    std::size_t count = 0;
    for (const Operand& input : {read(logits), classes(), probabilities(), read(weight)})
      operands[count++] = input;
    if (statistics)
      for (const Operand& input : {read(statistics), read(divisor)}) operands[count++] = input;
    for (const Operand& other : others) operands[count++] = other;
    operands[count++] = encoder.fault();
    // The forward shader has no use for the reduction, and one pipeline for all of them.
    const std::uint32_t constants[] = {
        lines.group,
        lines.way,
        target_kind(),
        weighted,
        statistics ? static_cast<std::uint32_t>(reduction) : 0};
    encoder.dispatch(
        encoder.shader(shaders, logits->dtype()),
        constants,
        {operands, count},
        std::as_bytes(std::span<const Params, 1>(&params, 1)),
        lines.grid);
  }

 private:
  [[nodiscard]] std::uint32_t target_kind() const noexcept {
    return target->dtype() == DType::int64 ? 0 : target->dtype() == DType::int32 ? 1 : 2;
  }
  /// The target as classes, and as probabilities; the shader reads one of them.
  [[nodiscard]] Operand classes() const noexcept { return read(target, 4); }
  [[nodiscard]] Operand probabilities() const noexcept {
    return target_kind() == 2 ? read(target) : read(logits);
  }
};

}  // namespace

template <>
void Kernel<CrossEntropy>::encode(Encoder& encoder, const CrossEntropy& op) {
  static const ShaderByDType shaders("cross_entropy");
  const Samples samples(encoder, op, 0);
  const DType dtype = samples.logits->dtype();
  const Shape shape = CrossEntropyRule::samples(samples.logits->shape());
  const Value weights = encoder.scratch(dtype, shape);
  const Value losses =
      op.reduction == Reduction::none ? encoder.out(0) : encoder.scratch(dtype, shape);
  samples.dispatch(
      encoder, shaders, op.reduction, {write(encoder.out(1)), write(losses), write(weights)});
  LossTotal{op.reduction, losses, encoder.out(0), weights, encoder.out(2)}.encode(encoder);
}

template <>
void Kernel<CrossEntropyBackward>::encode(Encoder& encoder, const CrossEntropyBackward& op) {
  static const ShaderByDType shaders("cross_entropy_backward");
  const Samples samples(encoder, op, 1);
  const Value dloss = encoder.contiguous(encoder.in(0));
  samples.dispatch(encoder, shaders, op.reduction, {read(dloss), write(encoder.out(0))});
}

template <>
void Kernel<CrossEntropyCurvature>::encode(Encoder& encoder, const CrossEntropyCurvature& op) {
  static const ShaderByDType shaders("cross_entropy_curvature");
  const Samples samples(encoder, op, 2);
  const Value direction = encoder.contiguous(encoder.in(0));
  const Value dloss = encoder.contiguous(encoder.in(1));
  const Value along =
      op.reduction == Reduction::none
          ? encoder.out(1)
          : encoder.scratch(
                samples.logits->dtype(), CrossEntropyRule::samples(samples.logits->shape()));
  samples.dispatch(
      encoder,
      shaders,
      op.reduction,
      {read(dloss), read(direction), write(encoder.out(0)), write(along)});
  LossTotal{op.reduction, along, encoder.out(1), {}, {}, samples.divisor}.encode(encoder);
}

}  // namespace troupe::vulkan
