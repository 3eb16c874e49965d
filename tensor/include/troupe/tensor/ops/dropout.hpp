#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// Which elements dropout keeps: each by itself with probability 1 − p.
///
/// Shape    as given.
/// Dtype    bool, true where an element is kept.
/// Errors   `invalid_argument` for p outside [0, 1].
/// Source   drawn from Philox4x32-10 by (seed, random call, shard, element).
struct DropoutMask : OpDefaults {
  static constexpr OpId id{353};
  static constexpr std::string_view name = "dropout_mask";
  static constexpr bool random = true;

  Shape shape;
  double p = 0.5;

  void infer(std::span<const Meta>, Metas& out) const {
    if (!(p >= 0 && p <= 1))
      throw Error(
          ErrorCode::invalid_argument,
          "'p' is " + std::to_string(p) + ", but must be a probability from 0 to 1")
          .op("dropout")  // what people called
          .hint("p is the share that is dropped: 0.5 drops half");
    out.push_back({DType::boolean, shape});
  }
  /// Elements are dropped whose 32 random bits, as a number, lie below this: all, if p is 1.
  [[nodiscard]] std::uint64_t threshold() const noexcept {
    return static_cast<std::uint64_t>(p * 0x1p32);
  }
  template <class V>
  void fields(V& visit) {
    visit.field("shape", shape);
    visit.field("p", p);
  }
  bool operator==(const DropoutMask&) const = default;
};

/// y = scale · x where the mask is true, else 0, whatever x is there.
///
/// Shape    mask and x broadcast; y as they do together.
/// Dtype    mask bool; x float32 or float64; y as x.
/// Saves    the mask.
/// Errors   `dtype_mismatch`.
/// Source   torch.nn.functional.dropout; linear in x, so that its gradient is the same op.
struct Dropout : Elementwise<Dropout, 2> {
  static constexpr OpId id{64};
  static constexpr std::string_view name = "dropout";
  static constexpr Promotion promotion = Promotion::none;
  static constexpr Samples samples{.ulp_max = 1, .linear = true};
  static constexpr std::uint32_t saves_inputs = 0b01;
  static constexpr std::uint32_t no_gradient = 0b01;
  static constexpr bool first_is_condition = true;
  static constexpr bool floating_only = true;

  double scale = 2;

  void infer(std::span<const Meta> in, Metas& out) const {
    if (in[0].dtype != DType::boolean)
      throw Error(
          ErrorCode::dtype_mismatch,
          "the mask is " + std::string(name_of(in[0].dtype)) + ", but must be bool")
          .hint("compare it, as in ne(mask, 0)");
    const Meta& x = in.back();
    require_floating(x, "input");
    out.push_back({x.dtype, broadcast(in[0].shape, x.shape)});
  }
  template <class M, class P>
  P kernel(M mask, P x) const {
    return select(mask, x * P(scale), P(0));
  }
  [[nodiscard]] double reference(double mask, double x) const { return mask != 0 ? x * scale : 0; }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    gradients[1] = apply(*this, v.input(0), v.grad());
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("scale", scale);
  }
  bool operator==(const Dropout&) const = default;
};

/// torch.nn.functional.dropout; out of training, x itself.
[[nodiscard]] inline Tensor dropout(const Operand& input, double p = 0.5, bool training = true) {
  const Tensor& x = checked_tensor(input, Dropout::name);
  if (!training && p >= 0 && p <= 1) return x;
  DropoutMask draw;
  draw.shape = x.shape();
  draw.p = p;
  const Tensor mask = apply(make_op(draw), x, input.where());
  Dropout op;
  op.scale = p < 1 ? 1 / (1 - p) : 0;
  return apply(op, Operand(mask, input.where()), input);
}

}  // namespace troupe
