#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/amax.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y[..., c] = 1 where x[...] is c, else 0.
///
/// Shape    x [...] → y [..., num_classes].
/// Dtype    x int64 or int32; y int64.
/// Saves    nothing: without a gradient.
/// Errors   `dtype_mismatch`; `invalid_argument` for a class outside [0, num_classes), when it
///          runs.
/// Source   torch.nn.functional.one_hot.
struct OneHot : OpDefaults {
  static constexpr OpId id{446};
  static constexpr std::string_view name = "one_hot";

  std::int64_t num_classes = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    require_index(in[0], "input");
    require_at_least(num_classes, 1, "num_classes");
    Meta meta{DType::int64, in[0].shape};
    meta.shape.push_back(num_classes);
    out.push_back(meta);
  }
  template <class V>
  void fields(V& visit) {
    visit.field("num_classes", num_classes);
  }
  bool operator==(const OneHot&) const = default;
};

/// torch.nn.functional.one_hot. Without a number of classes it waits for the data to find the
/// largest; a capture needs the number.
[[nodiscard]] inline Tensor one_hot(const Operand& input, std::int64_t num_classes = -1) {
  const Tensor& x = checked_tensor(input, OneHot::name);
  if (num_classes == -1)
    num_classes = x.elements() == 0 ? 1 : amax(input).item<std::int64_t>(input.where()) + 1;
  return apply(OneHot{{}, num_classes}, input);
}

}  // namespace troupe
