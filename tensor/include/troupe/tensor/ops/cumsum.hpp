#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y[i] = x[0] + … + x[i] along an axis, or x[i] + … + x[n − 1] when `reverse`.
///
/// Shape    y as x.
/// Dtype    float32, float64, int32 or int64; y as x (`cumsum` casts smaller integers to int64).
/// Saves    nothing.
/// Errors   `axis_out_of_range`; `dtype_mismatch`.
/// Source   torch.cumsum; its gradient is the same sum from the other end.
struct Cumsum : OpDefaults {
  static constexpr OpId id{480};
  static constexpr std::string_view name = "cumsum";

  std::int64_t dim = 0;
  bool reverse = false;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, 1);
    if (!is_integer(in[0].dtype) || in[0].dtype == DType::uint8) require_floating(in[0], "input");
    check_axis(dim, in[0].shape.size());
    out.push_back(in[0]);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(Cumsum{{}, dim, !reverse}, v.grad())};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
    visit.field("reverse", reverse);
  }
  bool operator==(const Cumsum&) const = default;
};

/// torch.cumsum; integers and booleans become int64 first.
[[nodiscard]] Tensor cumsum(const Operand& input, std::int64_t dim);

}  // namespace troupe
