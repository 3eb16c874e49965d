#pragma once

#include <troupe/nn/module.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace troupe::nn {

/// Any module that maps one tensor to one tensor, its type forgotten; copies share.
class AnyModule : public Module {
 public:
  /// Takes modules whose `forward` takes an `Operand` or a `Tensor`.
  template <class M>
  requires(std::derived_from<M, Module> && !std::same_as<M, AnyModule>)
      AnyModule(M module)  // NOLINT: meant implicit
      : Module(module), forward_([module = std::move(module)](const Operand& input) -> Tensor {
          if constexpr (requires { module.forward(input); })
            return module.forward(input);
          else
            return module.forward(tensor_of(input));
        }) {}

  [[nodiscard]] Tensor forward(const Operand& input) const { return forward_(input); }
  Tensor operator()(const Operand& input) const {
    const Call call(*this, input);
    Tensor output = forward_(call.input());
    note_output(output);
    return output;
  }

 private:
  /// Throws `invalid_argument` for a plain number.
  [[nodiscard]] static const Tensor& tensor_of(const Operand& input);

  std::function<Tensor(const Operand&)> forward_;
};

}  // namespace troupe::nn
