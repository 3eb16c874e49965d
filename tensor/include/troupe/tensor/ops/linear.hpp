#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/product.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// y = x · weightᵀ + bias.
///
/// Shape    x [..., K], weight [M, K], bias [M] or none → y [..., M].
/// Dtype    floating, all the same; 16-bit floats as in `matmul`, the bias added before the sum is
///          rounded.
/// Saves    x, weight.
/// Errors   `shape_mismatch` naming the sizes that differ; `dtype_mismatch` for integers or mixed
///          dtypes.
/// Source   torch.nn.functional.linear; dx = dy · weight, dweight = dyᵀ · x, dbias = Σ dy.
struct Linear : OpDefaults {
  static constexpr OpId id{401};
  static constexpr std::string_view name = "linear";
  static constexpr std::uint32_t saves_inputs = 0b11;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 2, 3);
    constexpr std::string_view names[] = {"input", "weight", "bias"};
    for (std::size_t i = 0; i < in.size(); ++i) {
      require_factor(in[i], names[i]);
      require_same_dtype(in[i], names[i], in[0], names[0]);
    }
    require_rank_at_least(in[0], 1, "input", "[..., in_features]");
    require_rank(in[1], 2, "weight", "[out_features, in_features]");
    const Shape& x = in[0].shape;
    const Shape& weight = in[1].shape;
    if (x.back() != weight[1]) {
      Error error(
          ErrorCode::shape_mismatch,
          "the input " + to_string(x) + " has " + std::to_string(x.back()) +
              " features, but the weight " + to_string(weight) + " takes " +
              std::to_string(weight[1]));
      error.hint("the input's last size and the weight's must be equal");
      if (x.back() == weight[0])
        error.hint("the weight is [out_features, in_features]: transpose it");
      else if (x.size() > 2 && x[0] > 0 && elements_in(x) / x[0] == weight[1])
        error.hint("flatten the input first: flatten(x, 1) makes it [batch, features]");
      throw error;
    }
    if (in.size() == 3) require_shape(in[2], {weight[0]}, "bias");
    Meta meta = in[0];
    meta.shape[x.size() - 1] = weight[0];
    out.push_back(meta);
  }

  template <class V>
  Gradients vjp(const V& v) const {
    const Shape& x_shape = v.input_meta(0).shape;
    const std::int64_t features = x_shape.back();
    const std::int64_t rows = rows_in(x_shape);
    const std::int64_t out_features = v.input_meta(1).shape[0];
    const auto dy = x_shape.size() == 2 ? v.grad() : reshape(v.grad(), Shape{rows, out_features});
    Gradients gradients(v.input_count());
    if (v.needs(0)) {
      const auto dx = matmul(dy, v.input(1));
      gradients[0] = x_shape.size() == 2 ? dx : reshape(dx, x_shape);
    }
    if (v.needs(1)) {
      const auto x = x_shape.size() == 2 ? v.input(0) : reshape(v.input(0), Shape{rows, features});
      gradients[1] = matmul(transpose(dy, 0, 1), x);
    }
    if (v.input_count() == 3 && v.needs(2)) {
      const Meta& bias = v.input_meta(2);
      gradients[2] = is_computable(bias.dtype) ? sum(dy, Dims{0}, false) : reduce_to(dy, bias);
    }
    return gradients;
  }
};

/// torch.nn.functional.linear; an undefined bias means none. Of float32 in `Autocast`'s dtype, the
/// bias then added in float32 to the rounded product.
[[nodiscard]] inline Tensor linear(
    const Operand& input, const Operand& weight, const Tensor& bias = {}) {
  const Operand factors[] = {input, weight};
  if (!bias) return apply_product(make_op(Linear{}), factors);
  const Operand added(bias, input.where());
  // A bias that does not fit is for the op to refuse, not for the sum to broadcast.
  const bool fits = bias.dtype() == DType::float32 && bias.rank() == 1 && autocasts(factors) &&
                    weight.tensor().rank() == 2 && bias.size(0) == weight.tensor().size(0);
  if (!fits) return apply(Linear{}, input, weight, added);
  const Tensor product = apply_product(make_op(Linear{}), factors);
  return add(Operand(product, input.where()), added);
}

}  // namespace troupe
