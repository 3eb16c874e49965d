#include "optional_parameter.hpp"
#include "text.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/tensor/ops/linear.hpp>

#include <cmath>

namespace troupe::nn {

Linear::Linear(std::int64_t in_features, std::int64_t out_features, bool bias)
    : Layer(
          "Linear",
          "in_features=" + text_of(in_features) + ", out_features=" + text_of(out_features) +
              ", bias=" + text_of(bias)) {
  if (in_features < 0 || out_features < 0)
    throw Error(ErrorCode::invalid_argument, "Linear(" + description() + "): a negative size");
  weight_ = register_parameter(
      "weight", init::kaiming_uniform({out_features, in_features}, std::sqrt(5.0)));
  const double bound = in_features ? 1 / std::sqrt(static_cast<double>(in_features)) : 0;
  bias_ = register_parameter(
      "bias", bias ? Parameter(init::uniform({out_features}, -bound, bound)) : Parameter());
}

Tensor Linear::forward(const Operand& input) const {
  return linear(input, weight_.tensor(), tensor_of(bias_));
}

}  // namespace troupe::nn
