#include <troupe/core/error.hpp>
#include <troupe/nn/sequential.hpp>

#include <string>

namespace troupe::nn {

Sequential::Sequential()
    : Layer("Sequential"), modules_(std::make_shared<std::vector<AnyModule>>()) {}

void Sequential::append(AnyModule module) {
  append(std::to_string(modules_->size()), std::move(module));
}

void Sequential::append(std::string_view name, AnyModule module) {
  register_module(name, module);
  modules_->push_back(std::move(module));
}

const AnyModule& Sequential::operator[](std::size_t i) const {
  if (i >= modules_->size())
    throw Error(
        ErrorCode::invalid_argument,
        "module " + std::to_string(i) + " of a Sequential of " + std::to_string(modules_->size()));
  return (*modules_)[i];
}

Tensor Sequential::forward(const Operand& input) const {
  if (modules_->empty()) return input.tensor();
  Tensor x;
  std::size_t i = 0;
  try {
    for (; i < modules_->size(); ++i)
      x = (*modules_)[i](i == 0 ? input : Operand(x, input.where()));
  } catch (Error& error) {
    // The caller's line is this Sequential's; only its number says which layer it was.
    const AnyModule& failed = (*modules_)[i];
    const std::string layer =
        "layer " + std::to_string(i) + ", " + failed.type() + "(" + failed.description() + ")";
    throw error.op(error.op().empty() ? layer : error.op() + " in " + layer);
  }
  return x;
}

}  // namespace troupe::nn
