#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <string>

namespace troupe {

/// y = x on another device: the transfer that `to(x, device)` puts into the graph.
///
/// It is run by the device that receives, and waits for the one that sends; the elements pass
/// through the host.
///
/// Shape    y as x.
/// Dtype    any; y as x.
/// Saves    nothing.
/// Source   torch.Tensor.to; the gradient travels back to where x came from.
struct ToDevice : OpDefaults {
  static constexpr OpId id{398};
  static constexpr std::string_view name = "to_device";
  static constexpr OpFamily family = OpFamily::transfer;

  std::string from;  ///< the device that x is on

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    out.push_back(in[0]);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    return {to(v.grad(), from)};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("from", from);
  }
  bool operator==(const ToDevice&) const = default;
};

}  // namespace troupe
