#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// The same elements in another dtype: rounded to the nearest, halves to even; cut toward 0 for
/// integers; for bool, whether they differ from 0. What an integer type cannot hold gives an
/// unspecified one.
///
/// Shape    y as x.
/// Dtype    any to any, the 16-bit floats included.
/// Saves    nothing.
/// Source   the gradient is cast back.
struct Cast : OpDefaults {
  static constexpr OpId id{63};
  static constexpr std::string_view name = "cast";
  /// A segment may hold it, though no one expression computes all of its dtypes.
  static constexpr std::size_t arity = 1;

  DType dtype = DType::float32;

  void infer(std::span<const Meta> in, Metas& out) const { out.push_back({dtype, in[0].shape}); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {cast(v.grad(), v.input_meta().dtype)};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("dtype", dtype);
  }
  bool operator==(const Cast&) const = default;
};

/// x in another dtype; x itself when it has that one.
[[nodiscard]] inline Tensor cast(const Operand& x, DType dtype) {
  if (const Tensor& tensor = checked_tensor(x, Cast::name); tensor.dtype() == dtype) return tensor;
  Cast op;
  op.dtype = dtype;
  return apply(op, x);
}

}  // namespace troupe
