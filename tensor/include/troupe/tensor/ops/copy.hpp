#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// The same elements in memory of their own, row-major.
///
/// Shape    y as x.
/// Dtype    any; y as x.
/// Saves    nothing.
struct Copy : OpDefaults {
  static constexpr OpId id{305};
  static constexpr std::string_view name = "copy";

  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad()};
  }
};

/// Tensor.contiguous, Tensor.clone.
[[nodiscard]] inline Tensor contiguous(const Operand& x) { return apply(Copy{}, x); }
[[nodiscard]] inline Tensor clone(const Operand& x) { return apply(Copy{}, x); }

}  // namespace troupe
