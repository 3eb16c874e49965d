#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// Whether some x is other than 0 along some axes, or all; false of none.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    all that compute; y bool.
struct Any : Fold {
  static constexpr OpId id{206};
  static constexpr std::string_view name = "any";

  void infer(std::span<const Meta> in, Metas& out) const {
    out.push_back({DType::boolean, reduced(in[0])});
  }
};

/// torch.any.
[[nodiscard]] inline Tensor any(const Operand& x, const Dims& axes, bool keepdim = false) {
  return apply(fold_over<Any>(axes, keepdim), x);
}
[[nodiscard]] inline Tensor any(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Any>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor any(const Operand& x) { return apply(Any{}, x); }

}  // namespace troupe
