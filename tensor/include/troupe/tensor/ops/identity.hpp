#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = x: the input's own memory under another node. Lets a value that comes from outside of a
/// graph, a parameter's or a gradient's, be waited for like any other.
///
/// Shape    y as x.
/// Dtype    any; y as x.
struct Identity : OpDefaults {
  static constexpr OpId id{399};
  static constexpr std::string_view name = "identity";
  static constexpr OpFamily family = OpFamily::view;

  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
  ViewOf view(const ValueBody& input, const Meta&) const {
    return {input.strides(), input.offset()};
  }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad()};
  }
};

}  // namespace troupe
