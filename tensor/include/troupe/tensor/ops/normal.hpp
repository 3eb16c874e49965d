#pragma once

#include <troupe/tensor/ops/uniform.hpp>

namespace troupe {

/// Numbers from the normal distribution.
///
/// Shape    as given.
/// Dtype    float32 or float64, as given.
/// Errors   `dtype_mismatch`; `invalid_argument` for a negative deviation.
/// Source   Box and Muller 1958, on Philox.
struct Normal : RandomTensor {
  static constexpr OpId id{351};
  static constexpr std::string_view name = "normal";

  double mean = 0;
  double std = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    RandomTensor::infer(in, out);
    require_floating(out[0], "dtype");
    if (!(std >= 0))
      throw Error(
          ErrorCode::invalid_argument,
          "'std' is " + std::to_string(std) + ", but must be 0 or more")
          .hint("it is the standard deviation, not the variance");
  }
  template <class V>
  void fields(V& visit) {
    RandomTensor::fields(visit);
    visit.field("mean", mean);
    visit.field("std", std);
  }
  bool operator==(const Normal&) const = default;
};

/// torch.normal of numbers and a size.
[[nodiscard]] inline Tensor normal(
    double mean,
    double std,
    const Shape& size,
    DType dtype = DType::float32,
    Where where = Where::here()) {
  Normal op;
  op.shape = size;
  op.dtype = dtype;
  op.mean = mean;
  op.std = std;
  return apply(make_op(op), where);
}
/// torch.randn.
[[nodiscard]] inline Tensor randn(
    const Shape& size, DType dtype = DType::float32, Where where = Where::here()) {
  return normal(0, 1, size, dtype, where);
}
/// torch.randn_like.
[[nodiscard]] inline Tensor randn_like(const Operand& x) {
  const Tensor& like = checked_tensor(x, "randn_like");
  return randn(like.shape(), like.dtype(), x.where());
}

}  // namespace troupe
