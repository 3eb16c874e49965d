#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// Where the largest element stands along an axis, or in the flattened tensor: the first of
/// several, and a NaN before all numbers.
///
/// Shape    y as x without the axis, or with size 1 there (`keepdim`).
/// Dtype    all that compute; y int64.
/// Errors   `axis_out_of_range`; `invalid_argument` for an axis of size 0.
struct Argmax : Fold {
  static constexpr OpId id{210};
  static constexpr std::string_view name = "argmax";

  void infer(std::span<const Meta> in, Metas& out) const {
    require_some(in[0].shape);
    out.push_back({DType::int64, reduced(in[0])});
  }
};

/// torch.argmax.
[[nodiscard]] inline Tensor argmax(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Argmax>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor argmax(const Operand& x) { return apply(Argmax{}, x); }

}  // namespace troupe
