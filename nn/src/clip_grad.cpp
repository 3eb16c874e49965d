#include <troupe/core/error.hpp>
#include <troupe/nn/clip_grad.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/abs.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/amax.hpp>
#include <troupe/tensor/ops/clamp.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/maximum.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/pow.hpp>
#include <troupe/tensor/ops/sqrt.hpp>
#include <troupe/tensor/ops/square.hpp>
#include <troupe/tensor/ops/sum.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <cmath>
#include <string>
#include <utility>

namespace troupe::nn {

namespace {

std::vector<std::pair<Parameter, Tensor>> gradients_of(const std::vector<Parameter>& parameters) {
  std::vector<std::pair<Parameter, Tensor>> gradients;
  for (const Parameter& parameter : parameters)
    if (Tensor gradient = parameter.grad()) gradients.emplace_back(parameter, std::move(gradient));
  return gradients;
}

/// What the gradients' elements give together, before the root is taken.
Tensor power_sum(const std::vector<std::pair<Parameter, Tensor>>& gradients, double norm_type) {
  Tensor total;
  for (const auto& [parameter, gradient] : gradients) {
    // In the parameters' order, whatever order the gradients came in.
    const bool infinite = std::isinf(norm_type);
    Tensor part;
    if (infinite)
      part = gradient.elements() ? amax(abs(gradient)) : sum(gradient);
    else
      part = sum(norm_type == 2 ? square(gradient) : pow(abs(gradient), norm_type));
    if (!total) {
      total = part;
      continue;
    }
    part = to(part, total.record()->device());
    total = infinite ? maximum(total, part) : total + part;
  }
  return total;
}

Tensor root(const Tensor& total, double norm_type) {
  if (std::isinf(norm_type)) return total;
  return norm_type == 2 ? sqrt(total) : pow(total, 1 / norm_type);
}

}  // namespace

Tensor clip_grad_norm_(
    const std::vector<Parameter>& parameters, double max_norm, double norm_type) {
  if (!(norm_type > 0))
    throw Error(
        ErrorCode::invalid_argument,
        "the norm's type is " + std::to_string(norm_type) + ", but must be above 0");
  const NoGrad no_grad;
  const auto gradients = gradients_of(parameters);
  if (gradients.empty()) {
    const float zero = 0;
    return Tensor::copy_of<float>(std::span(&zero, 1), {});
  }
  Tensor norm = root(power_sum(gradients, norm_type), norm_type);
  // As PyTorch: always multiplied, by 1 where nothing is to be cut, so that nobody waits for the
  // norm.
  const Tensor factor = clamp(max_norm / (norm + 1e-6), 0, 1);
  for (auto& [parameter, gradient] : gradients)
    Parameter(parameter).set_grad(gradient * to(factor, parameter.device()));
  return norm;
}

void clip_grad_value_(const std::vector<Parameter>& parameters, double clip_value) {
  const NoGrad no_grad;
  for (auto& [parameter, gradient] : gradients_of(parameters))
    Parameter(parameter).set_grad(clamp(gradient, -clip_value, clip_value));
}

}  // namespace troupe::nn
