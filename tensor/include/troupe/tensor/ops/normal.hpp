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
    if (!(std >= 0)) throw Error(ErrorCode::invalid_argument, "std must not be negative");
  }
  template <class V>
  void fields(V& visit) {
    RandomTensor::fields(visit);
    visit.field("mean", mean);
    visit.field("std", std);
  }
  bool operator==(const Normal&) const = default;
};

/// torch.normal of a shape.
[[nodiscard]] inline Tensor normal(
    const Shape& shape, double mean, double std, DType dtype = DType::float32) {
  Normal op;
  op.shape = shape;
  op.dtype = dtype;
  op.mean = mean;
  op.std = std;
  return apply(make_op(op), std::span<const Operand>());
}
/// torch.randn.
[[nodiscard]] inline Tensor randn(const Shape& shape, DType dtype = DType::float32) {
  return normal(shape, 0, 1, dtype);
}
[[nodiscard]] inline Tensor randn_like(const Tensor& x) { return randn(x.shape(), x.dtype()); }

}  // namespace troupe
