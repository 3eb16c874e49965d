#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y = x / (1 − p) with probability 1 − p, else 0, for each element by itself.
///
/// Shape    y and mask as x.
/// Dtype    x float32 or float64; y as x; mask bool, true where the element was kept.
/// Saves    the mask.
/// Errors   `invalid_argument` for p outside [0, 1]; `dtype_mismatch`.
/// Source   torch.nn.functional.dropout; drawn from Philox4x32-10 by (seed, random call,
///          shard, element).
struct Dropout : OpDefaults {
  static constexpr OpId id{460};
  static constexpr std::string_view name = "dropout";
  static constexpr bool random = true;
  static constexpr std::uint32_t saves_outputs = 0b10;

  double p = 0.5;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    require_floating(in[0], "input");
    if (!(p >= 0 && p <= 1))
      throw Error(
          ErrorCode::invalid_argument,
          "'p' is " + std::to_string(p) + ", but must be a probability from 0 to 1")
          .hint("p is the share that is dropped: 0.5 drops half");
    out.push_back(in[0]);
    out.push_back({DType::boolean, in[0].shape});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("p", p);
  }
  bool operator==(const Dropout&) const = default;
};

/// dx = dy / (1 − p) where the mask is true, else 0.
///
/// Shape    dy and mask alike; dx as they.
/// Dtype    dy float32 or float64; mask bool.
/// Saves    the mask.
/// Errors   `shape_mismatch`, `dtype_mismatch`.
/// Source   linear in dy.
struct DropoutBackward : OpDefaults {
  static constexpr OpId id{461};
  static constexpr std::string_view name = "dropout_backward";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  double p = 0.5;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_floating(in[0], "dy");
    require_shape(in[1], in[0].shape, "mask");
    if (in[1].dtype != DType::boolean)
      throw Error(
          ErrorCode::dtype_mismatch,
          "the mask is " + std::string(name_of(in[1].dtype)) + ", but must be bool")
          .hint("give the second output of the forward op");
    out.push_back(in[0]);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    gradients[0] = apply(*this, v.grad(), v.input(1));
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("p", p);
  }
  bool operator==(const DropoutBackward&) const = default;
};

template <class V>
Gradients Dropout::vjp(const V& v) const {
  if (!v.grad(0)) return Gradients(1);
  return {apply(DropoutBackward{{}, p}, v.grad(0), v.output(1))};
}

/// torch.nn.functional.dropout; out of training, x itself.
[[nodiscard]] inline Tensor dropout(const Operand& input, double p = 0.5, bool training = true) {
  const Tensor& x = checked_tensor(input, Dropout::name);
  if (!training && p >= 0 && p <= 1) return x;
  Tensor outputs[2];
  apply(make_op(Dropout{{}, p}), std::span<const Operand>(&input, 1), outputs);
  return outputs[0];
}

}  // namespace troupe
