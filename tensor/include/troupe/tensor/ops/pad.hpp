#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <initializer_list>
#include <span>

namespace troupe {

/// A tensor with a border of one value around it; negative numbers take elements away instead.
///
/// Shape    each axis grows by before + after.
/// Dtype    any; y as x, the value cast to it.
/// Saves    nothing.
/// Errors   `shape_mismatch` when less than nothing would be left; `invalid_argument`.
/// Source   torch.nn.functional.pad, mode "constant"; its gradient is a pad by the negative
///          numbers.
struct Pad : OpDefaults {
  static constexpr OpId id{451};
  static constexpr std::string_view name = "pad";

  Dims before{};  ///< for each axis, the outermost first
  Dims after{};
  double value = 0;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    Meta meta = in[0];
    if (before.size() != meta.shape.size() || after.size() != meta.shape.size())
      throw Error(
          ErrorCode::invalid_argument,
          "the padding is not of the rank of the input " + to_string(meta.shape));
    for (std::size_t i = 0; i < meta.shape.size(); ++i) {
      meta.shape[i] += before[i] + after[i];
      if (meta.shape[i] < 0)
        throw Error(
            ErrorCode::shape_mismatch,
            "padding axis " + std::to_string(i) + " of " + to_string(in[0].shape) + " by " +
                std::to_string(before[i]) + " and " + std::to_string(after[i]) +
                " leaves less than nothing");
    }
    out.push_back(meta);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    Pad back;
    for (std::size_t i = 0; i < before.size(); ++i) {
      back.before.push_back(-before[i]);
      back.after.push_back(-after[i]);
    }
    return {apply(back, v.grad())};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("before", before);
    visit.field("after", after);
    visit.field("value", value);
  }
  bool operator==(const Pad&) const = default;
};

/// torch.nn.functional.pad with mode "constant": pairs (before, after), the last axis first.
[[nodiscard]] inline Tensor pad(
    const Operand& input, std::span<const std::int64_t> pads, double value = 0) {
  const std::size_t rank = input.tensor().rank();
  if (pads.size() % 2 != 0 || pads.size() > 2 * rank)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(pads.size()) + " numbers are not pairs for the axes of " +
            to_string(input.tensor().shape()))
        .op("pad")
        .hint("give (before, after) for the last axis, then for the one before it")
        .at(input.where().file, input.where().line);
  Pad op;
  op.value = value;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t pair = rank - 1 - i;
    const bool given = 2 * pair < pads.size();
    op.before.push_back(given ? pads[2 * pair] : 0);
    op.after.push_back(given ? pads[2 * pair + 1] : 0);
  }
  return apply(op, input);
}
[[nodiscard]] inline Tensor pad(
    const Operand& input, std::initializer_list<std::int64_t> pads, double value = 0) {
  return pad(input, std::span<const std::int64_t>(pads.begin(), pads.size()), value);
}

}  // namespace troupe
