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
/// Source   torch.nn.functional.pad, mode "constant" (`pad` makes the others of index_select); its
///          gradient is a pad by the negative numbers.
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
          "the padding is not of the rank of the input " + to_string(meta.shape))
          .hint("call it by pad(), which fills it up to the rank");
    for (std::size_t i = 0; i < meta.shape.size(); ++i) {
      // More than this cannot be allocated anyway, and the sums of less can be counted.
      constexpr std::int64_t most = std::int64_t{1} << 60;
      if (before[i] < -most || before[i] > most || after[i] < -most || after[i] > most)
        throw Error(
            ErrorCode::invalid_argument,
            "padding axis " + std::to_string(i) + " of " + to_string(in[0].shape) + " by " +
                std::to_string(before[i]) + " and " + std::to_string(after[i]) +
                " is more than can be counted")
            .hint("look for a size that was computed wrongly");
      meta.shape[i] += before[i] + after[i];
      if (meta.shape[i] < 0)
        throw Error(
            ErrorCode::shape_mismatch,
            "padding axis " + std::to_string(i) + " of " + to_string(in[0].shape) + " by " +
                std::to_string(before[i]) + " and " + std::to_string(after[i]) +
                " leaves less than nothing")
            .hint("negative padding takes elements away: at most as many as there are");
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

/// What stands in a border: one value; the elements next to it, mirrored at the edge, which itself
/// is not repeated; or the edge's element.
enum class PadMode : std::uint8_t { constant, reflect, replicate };

/// torch.nn.functional.pad without the mode "circular": pairs (before, after), the last axis first.
/// Throws `unsupported` for negative numbers but in the mode `constant`, and `shape_mismatch` where
/// too little is there to be mirrored.
[[nodiscard]] Tensor pad(
    const Operand& input,
    std::span<const std::int64_t> pads,
    PadMode mode = PadMode::constant,
    double value = 0);
[[nodiscard]] inline Tensor pad(
    const Operand& input,
    std::initializer_list<std::int64_t> pads,
    PadMode mode = PadMode::constant,
    double value = 0) {
  return pad(input, std::span<const std::int64_t>(pads.begin(), pads.size()), mode, value);
}

}  // namespace troupe
