#pragma once

#include <troupe/nn/any_module.hpp>
#include <troupe/tensor/meta.hpp>

#include <string>

namespace troupe::nn {

/// A table of the model's layers with the shapes of their outputs for an input of this dtype and
/// shape, the number of their parameters, and totals. Computes nothing and changes nothing: the
/// model is only captured. Throws what the model throws for such an input.
[[nodiscard]] std::string summary(const AnyModule& model, const Meta& input);

}  // namespace troupe::nn
