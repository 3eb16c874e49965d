#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// Whether all x are other than 0 along some axes, or all; true of none.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    all that compute; y bool.
struct All : Fold {
  static constexpr OpId id{205};
  static constexpr std::string_view name = "all";

  void infer(std::span<const Meta> in, Metas& out) const {
    out.push_back({DType::boolean, reduced(in[0])});
  }
};

/// torch.all.
[[nodiscard]] inline Tensor all(const Operand& x, const Dims& axes, bool keepdim = false) {
  return apply(fold_over<All>(axes, keepdim), x);
}
[[nodiscard]] inline Tensor all(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<All>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor all(const Operand& x) { return apply(All{}, x); }

}  // namespace troupe
