#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y[i, j, k] = x[i, index[j], k] for dim = 1, and so on.
///
/// Shape    index [M] → y as x, but M along `dim`.
/// Dtype    x any, y as x; index int64 or int32.
/// Saves    index.
/// Errors   `shape_mismatch`, `axis_out_of_range`, `dtype_mismatch`; `invalid_argument` for an
///          index outside [0, size of `dim`), when it runs.
/// Source   torch.index_select.
struct IndexSelect : OpDefaults {
  static constexpr OpId id{442};
  static constexpr std::string_view name = "index_select";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  std::int64_t dim = 0;

  [[nodiscard]] Shape selected(const Shape& x, const Meta& index) const {
    require_index(index, "index");
    require_rank(index, 1, "index", "[M]");
    Shape shape = x;
    shape[normalize_axis(dim, x.size())] = index.shape[0];
    return shape;
  }
  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    out.push_back({in[0].dtype, selected(in[0].shape, in[1])});
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
  }
  bool operator==(const IndexSelect&) const = default;
};

/// dx: zeros, and each slice of dy added where index_select took it from; in the index's order.
///
/// Shape    dy as the selection, index [M] → `input_shape`.
/// Dtype    dy float32 or float64, dx as dy; index int64 or int32.
/// Saves    index.
/// Errors   as `IndexSelect`.
/// Source   torch.index_add into zeros; linear in dy.
struct IndexSelectBackward : OpDefaults {
  static constexpr OpId id{443};
  static constexpr std::string_view name = "index_select_backward";
  static constexpr std::uint32_t saves_inputs = 0b10;
  static constexpr std::uint32_t no_gradient = 0b10;

  std::int64_t dim = 0;
  Shape input_shape{};

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 2);
    require_floating(in[0], "dy");
    require_shape(in[0], IndexSelect{{}, dim}.selected(input_shape, in[1]), "dy");
    out.push_back({in[0].dtype, input_shape});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    gradients[0] = apply(IndexSelect{{}, dim}, v.grad(), v.input(1));
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
    visit.field("input_shape", input_shape);
  }
  bool operator==(const IndexSelectBackward&) const = default;
};

template <class V>
Gradients IndexSelect::vjp(const V& v) const {
  Gradients gradients(2);
  gradients[0] = apply(IndexSelectBackward{{}, dim, v.input_meta(0).shape}, v.grad(), v.input(1));
  return gradients;
}

/// torch.index_select.
[[nodiscard]] inline Tensor index_select(
    const Operand& input, std::int64_t dim, const Operand& index) {
  return apply(IndexSelect{{}, dim}, input, index);
}

}  // namespace troupe
