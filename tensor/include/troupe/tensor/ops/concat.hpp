#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <initializer_list>
#include <span>
#include <vector>

namespace troupe {

/// Tensors one after another along an axis. A call takes up to `inputs_max`; `concat` makes a tree
/// of calls for more.
///
/// Shape    all alike but along `dim` → the sum there.
/// Dtype    any, all the same (`concat` casts to the common one).
/// Saves    nothing.
/// Errors   `shape_mismatch`, `axis_out_of_range`, `dtype_mismatch`; `invalid_argument` without
///          tensors.
/// Source   torch.cat.
struct Concat : OpDefaults {
  static constexpr OpId id{450};
  static constexpr std::string_view name = "concat";
  static constexpr std::size_t inputs_max = 8;

  std::int64_t dim = 0;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 1, inputs_max);
    Meta meta = in[0];
    const std::size_t axis = normalize_axis(dim, meta.shape.size());
    for (std::size_t i = 1; i < in.size(); ++i) {
      Shape like = in[i].shape;
      if (like.size() == meta.shape.size()) like[axis] = meta.shape[axis];
      if (!(like == meta.shape))
        throw Error(
            ErrorCode::shape_mismatch,
            "tensor " + std::to_string(i) + " has shape " + to_string(in[i].shape) +
                ", which differs from " + to_string(in[0].shape) + " not only along axis " +
                std::to_string(axis))
            .hint("all sizes but that along the axis must be equal: slice or pad one of them");
      if (in[i].dtype != meta.dtype)
        throw Error(
            ErrorCode::dtype_mismatch,
            "tensor " + std::to_string(i) + " is " + std::string(name_of(in[i].dtype)) +
                ", but the first is " + std::string(name_of(meta.dtype)))
            .hint("cast them to one dtype, as concat() does");
      meta.shape[axis] += in[i].shape[axis];
    }
    out.push_back(meta);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(v.input_count());
    std::int64_t start = 0;
    for (std::size_t i = 0; i < v.input_count(); ++i) {
      const Shape& shape = v.input_meta(i).shape;
      const std::int64_t size = shape[normalize_axis(dim, shape.size())];
      if (v.needs(i)) gradients[i] = slice(v.grad(), dim, start, start + size);
      start += size;
    }
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
  }
  bool operator==(const Concat&) const = default;
};

/// torch.cat, torch.concat; dtypes meet in their common one.
[[nodiscard]] Tensor concat(
    std::span<const Tensor> tensors, std::int64_t dim = 0, Where where = Where::here());
[[nodiscard]] inline Tensor concat(
    std::initializer_list<Tensor> tensors, std::int64_t dim = 0, Where where = Where::here()) {
  return concat(std::span<const Tensor>(tensors.begin(), tensors.size()), dim, where);
}
/// torch.stack: tensors of one shape along a new axis.
[[nodiscard]] Tensor stack(
    std::span<const Tensor> tensors, std::int64_t dim = 0, Where where = Where::here());
[[nodiscard]] inline Tensor stack(
    std::initializer_list<Tensor> tensors, std::int64_t dim = 0, Where where = Where::here()) {
  return stack(std::span<const Tensor>(tensors.begin(), tensors.size()), dim, where);
}
/// torch.split: views of `split_size` along an axis, the last one perhaps smaller.
[[nodiscard]] std::vector<Tensor> split(
    const Operand& tensor, std::int64_t split_size, std::int64_t dim = 0);
/// torch.split: views of the given sizes, which must fill the axis.
[[nodiscard]] std::vector<Tensor> split(
    const Operand& tensor, const std::vector<std::int64_t>& sizes, std::int64_t dim = 0);
/// torch.chunk: at most `chunks` views of equal size along an axis, the last one perhaps smaller.
[[nodiscard]] std::vector<Tensor> chunk(
    const Operand& tensor, std::int64_t chunks, std::int64_t dim = 0);

}  // namespace troupe
