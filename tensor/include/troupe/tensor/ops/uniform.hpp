#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// Base of the ops that make a tensor of random numbers. What they draw depends on the scope's
/// seed, the number of the call since seeding, the logical shard and the element's place, and on
/// nothing else.
struct RandomTensor : OpDefaults {
  static constexpr bool random = true;

  Shape shape;
  DType dtype = DType::float32;

  void infer(std::span<const Meta>, Metas& out) const { out.push_back({dtype, shape}); }
  template <class V>
  void fields(V& visit) {
    visit.field("shape", shape);
    visit.field("dtype", dtype);
  }
  bool operator==(const RandomTensor&) const = default;
};

/// Numbers drawn evenly from [low, high).
///
/// Shape    as given.
/// Dtype    float32 or float64, as given.
/// Errors   `dtype_mismatch`; `invalid_argument` unless low ≤ high.
/// Source   Philox; 24 random bits for a float32, 53 for a float64.
struct Uniform : RandomTensor {
  static constexpr OpId id{350};
  static constexpr std::string_view name = "uniform";

  double low = 0;
  double high = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    RandomTensor::infer(in, out);
    require_floating(out[0], "dtype");
    if (!(low <= high))
      throw Error(
          ErrorCode::invalid_argument,
          "'low' is " + std::to_string(low) + ", but 'high' is " + std::to_string(high))
          .hint("low must not be above high");
  }
  template <class V>
  void fields(V& visit) {
    RandomTensor::fields(visit);
    visit.field("low", low);
    visit.field("high", high);
  }
  bool operator==(const Uniform&) const = default;
};

/// torch.rand, with bounds; PyTorch has it as a method only, Tensor.uniform_.
[[nodiscard]] inline Tensor uniform(
    const Shape& size,
    double low,
    double high,
    DType dtype = DType::float32,
    Where where = Where::here()) {
  Uniform op;
  op.shape = size;
  op.dtype = dtype;
  op.low = low;
  op.high = high;
  return apply(make_op(op), where);
}
/// torch.rand.
[[nodiscard]] inline Tensor rand(
    const Shape& size, DType dtype = DType::float32, Where where = Where::here()) {
  return uniform(size, 0, 1, dtype, where);
}
/// torch.rand_like.
[[nodiscard]] inline Tensor rand_like(const Operand& x) {
  const Tensor& like = checked_tensor(x, "rand_like");
  return rand(like.shape(), like.dtype(), x.where());
}

}  // namespace troupe
