#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// Where the smallest element stands along an axis, or in the flattened tensor: the first of
/// several, and a NaN before all numbers.
///
/// Shape    y as x without the axis, or with size 1 there (`keepdim`).
/// Dtype    all that compute; y int64.
/// Errors   `axis_out_of_range`; `invalid_argument` for an axis of size 0.
struct Argmin : Fold {
  static constexpr OpId id{211};
  static constexpr std::string_view name = "argmin";

  void infer(std::span<const Meta> in, Metas& out) const {
    require_some(in[0].shape);
    out.push_back({DType::int64, reduced(in[0])});
  }
};

/// torch.argmin.
[[nodiscard]] inline Tensor argmin(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Argmin>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor argmin(const Operand& x) { return apply(Argmin{}, x); }

}  // namespace troupe
