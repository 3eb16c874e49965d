#pragma once

#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/tensor.hpp>

#include <vector>

namespace troupe::nn {

/// Scales the gradients of all parameters together, so that the norm of them all taken as one
/// vector is at most `max_norm`. Called between `backward` and the optimizer's `step`.
///
/// @param norm_type  of the p-norm; infinity takes the largest element
/// @returns          the norm before, a scalar that need not be waited for; 0 without any gradient
/// Errors            `invalid_argument` for a norm_type of 0 or below
Tensor clip_grad_norm_(
    const std::vector<Parameter>& parameters, double max_norm, double norm_type = 2);

/// Cuts each element of each gradient to [−clip_value, clip_value].
void clip_grad_value_(const std::vector<Parameter>& parameters, double clip_value);

}  // namespace troupe::nn
