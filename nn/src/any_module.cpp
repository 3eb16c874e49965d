#include <troupe/core/error.hpp>
#include <troupe/nn/any_module.hpp>

namespace troupe::nn {

const Tensor& AnyModule::tensor_of(const Operand& input) {
  if (input.is_number())
    throw Error(ErrorCode::invalid_argument, "a module was called with a number")
        .at(input.where().file, input.where().line)
        .hint("give it a tensor");
  return input.tensor();
}

}  // namespace troupe::nn
