#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// The same elements with the dimensions in another order; a view.
///
/// Shape    y's dimension i is x's dimension order[i].
/// Dtype    any; y as x.
/// Saves    nothing.
/// Errors   `invalid_argument` for an order that does not name each dimension once;
///          `axis_out_of_range`.
struct Permute : OpDefaults {
  static constexpr OpId id{301};
  static constexpr std::string_view name = "permute";
  static constexpr OpFamily family = OpFamily::view;

  Dims order;  ///< not negative

  void infer(std::span<const Meta> in, Metas& out) const;
  [[nodiscard]] ViewOf view(const ValueBody& input, const Meta& output) const;
  template <class V>
  Gradients vjp(const V& v) const {
    Dims back = order;
    for (std::size_t i = 0; i < order.size(); ++i)
      back[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
    return {permute(v.grad(), back)};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("order", order);
  }
  bool operator==(const Permute&) const = default;
};

/// torch.permute.
[[nodiscard]] Tensor permute(const Operand& x, const Dims& order);
/// torch.transpose: two dimensions swapped.
[[nodiscard]] Tensor transpose(const Operand& x, std::int64_t a, std::int64_t b);
/// torch.t: a matrix transposed; a vector stays.
[[nodiscard]] Tensor t(const Operand& x);

}  // namespace troupe
