#pragma once

#include <troupe/autograd/parameter.hpp>

namespace troupe::nn {

/// The tensor of a parameter that may be left out.
inline Tensor tensor_of(const Parameter& parameter) {
  return parameter ? parameter.tensor() : Tensor();
}

}  // namespace troupe::nn
