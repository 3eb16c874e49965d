#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y = a where the condition holds, b elsewhere.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    condition bool; a and b alike (`where` casts them to their common dtype); y as they.
/// Saves    the condition.
/// Errors   `dtype_mismatch` for a condition that is not bool.
struct Choose : Elementwise<Choose, 3> {
  static constexpr OpId id{60};
  static constexpr std::string_view name = "where";
  static constexpr Promotion promotion = Promotion::none;
  static constexpr Samples samples{.ulp_max = 0, .linear = true};
  static constexpr std::uint32_t saves_inputs = 0b001;
  static constexpr std::uint32_t no_gradient = 0b001;
  static constexpr bool first_is_condition = true;

  void infer(std::span<const Meta> in, Metas& out) const {
    if (in[0].dtype != DType::boolean)
      throw Error(
          ErrorCode::dtype_mismatch,
          "the condition is " + std::string(name_of(in[0].dtype)) + ", but must be bool")
          .hint("compare it, as in ne(condition, 0)");
    require_same_dtype(in[2], "b", in[1], "a");
    out.push_back({in[1].dtype, broadcast(in[0].shape, broadcast(in[1].shape, in[2].shape))});
  }
  template <class M, class P>
  static P kernel(M condition, P a, P b) {
    return select(condition, a, b);
  }
  static double reference(double condition, double a, double b) { return condition != 0 ? a : b; }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(3);
    if (v.needs(1)) gradients[1] = where(v.input(0), v.grad(), 0);
    if (v.needs(2)) gradients[2] = where(v.input(0), 0, v.grad());
    return gradients;
  }
};

/// torch.where; a and b meet in their common dtype.
[[nodiscard]] inline Tensor where(const Operand& condition, const Operand& a, const Operand& b) {
  (void)checked_tensor(condition, Choose::name);
  check_defined(a, Choose::name);
  check_defined(b, Choose::name);
  const Operand both[] = {a, b};
  const DType common = result_type(both);
  const auto fit = [&](const Operand& x) {
    return x.is_number() || x.tensor().dtype() == common ? Tensor() : cast(x, common);
  };
  const Tensor a_cast = fit(a);
  const Tensor b_cast = fit(b);
  return apply(
      Choose{},
      condition,
      a_cast ? Operand(a_cast, a.where()) : a,
      b_cast ? Operand(b_cast, b.where()) : b);
}

}  // namespace troupe
