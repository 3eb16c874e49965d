#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y[i, j, k] = x[i, index[i, j, k], k] for dim = 1, and so on.
///
/// Shape    index of x's rank, no larger than x but along `dim` → y as index.
/// Dtype    x any, y as x; index int64 or int32.
/// Saves    index.
/// Errors   `shape_mismatch`, `axis_out_of_range`, `dtype_mismatch`; `invalid_argument` for an
///          index outside [0, size of `dim`), when it runs.
/// Source   torch.gather.
struct Gather : OpDefaults {
  static constexpr OpId id{440};
  static constexpr std::string_view name = "gather";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  std::int64_t dim = 0;

  /// Throws unless elements of `x` can be named by `index`.
  void check(const Shape& x, const Meta& index) const {
    require_index(index, "index");
    require_rank(index, x.size(), "index", "as the input's");
    const std::size_t axis = normalize_axis(dim, x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      if (i != axis && index.shape[i] > x[i])
        throw Error(
            ErrorCode::shape_mismatch,
            "the index " + to_string(index.shape) + " is larger than the input " + to_string(x) +
                " along axis " + std::to_string(i))
            .hint("slice the index: only along its axis may it be longer than the input");
  }
  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    check(in[0].shape, in[1]);
    out.push_back({in[0].dtype, in[1].shape});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
  }
  bool operator==(const Gather&) const = default;
};

/// dx: zeros, and each element of dy added where gather took it from; in dy's order.
///
/// Shape    dy and index alike → `input_shape`.
/// Dtype    dy float32 or float64, dx as dy; index int64 or int32.
/// Saves    index.
/// Errors   as `Gather`.
/// Source   torch.scatter_add into zeros; linear in dy.
struct GatherBackward : OpDefaults {
  static constexpr OpId id{441};
  static constexpr std::string_view name = "gather_backward";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  std::int64_t dim = 0;
  Shape input_shape{};

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_floating(in[0], "dy");
    Gather op;
    op.dim = dim;
    op.check(input_shape, in[1]);
    require_shape(in[0], in[1].shape, "dy");
    out.push_back({in[0].dtype, input_shape});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    Gather op;
    op.dim = dim;
    Gradients gradients(2);
    gradients[0] = apply(op, v.grad(), v.input(1));
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
    visit.field("input_shape", input_shape);
  }
  bool operator==(const GatherBackward&) const = default;
};

template <class V>
Gradients Gather::vjp(const V& v) const {
  Gradients gradients(2);
  gradients[0] = apply(GatherBackward{{}, dim, v.input_meta(0).shape}, v.grad(), v.input(1));
  return gradients;
}

/// torch.gather.
[[nodiscard]] inline Tensor gather(const Operand& input, std::int64_t dim, const Operand& index) {
  return apply(Gather{{}, dim}, input, index);
}

}  // namespace troupe
