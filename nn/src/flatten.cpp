#include "text.hpp"

#include <troupe/nn/flatten.hpp>
#include <troupe/tensor/ops/reshape.hpp>

namespace troupe::nn {

Flatten::Flatten(std::int64_t start_dim, std::int64_t end_dim)
    : Layer("Flatten", "start_dim=" + text_of(start_dim) + ", end_dim=" + text_of(end_dim)),
      start_dim_(start_dim),
      end_dim_(end_dim) {}

Tensor Flatten::forward(const Operand& input) const { return flatten(input, start_dim_, end_dim_); }

Tensor Identity::forward(const Operand& input) const { return input.tensor(); }

}  // namespace troupe::nn
