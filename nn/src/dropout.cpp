#include "text.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/tensor/ops/dropout.hpp>

namespace troupe::nn {

Dropout::Dropout(double p) : Layer("Dropout", "p=" + text_of(p)), p_(p) {
  if (!(p >= 0 && p <= 1))
    throw Error(
        ErrorCode::invalid_argument,
        "the probability of dropout is " + text_of(p) + ", but must be from 0 to 1");
}

Tensor Dropout::forward(const Operand& input) const { return dropout(input, p_, training()); }

}  // namespace troupe::nn
