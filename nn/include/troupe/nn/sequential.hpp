#pragma once

#include <troupe/nn/any_module.hpp>

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::nn {

/// Modules called one after the other, each with what the one before it made; named "0", "1", … .
///
///     nn::Sequential net{nn::Flatten(), nn::Linear(784, 512), nn::ReLU(), nn::Linear(512, 10)};
///     Tensor logits = net(images);
///
/// Errors    those of its modules, with number and type of the one that failed.
class Sequential : public Layer<Sequential> {
 public:
  Sequential();
  /// A single Sequential in the braces is shared, not nested: as for every module.
  template <class First, class... Rest>
  requires(
      std::derived_from<First, Module> &&
      (sizeof...(Rest) > 0 ||
       !std::same_as<First, Sequential>)) explicit Sequential(First first, Rest... rest)
      : Sequential() {
    append(AnyModule(std::move(first)));
    (append(AnyModule(std::move(rest))), ...);
  }

  /// Adds a module at the end, under its number or under a name of its own.
  void append(AnyModule module);
  void append(std::string_view name, AnyModule module);
  [[nodiscard]] std::size_t size() const noexcept { return modules_->size(); }
  /// Throws `invalid_argument` past the end.
  [[nodiscard]] const AnyModule& operator[](std::size_t i) const;

  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  std::shared_ptr<std::vector<AnyModule>> modules_;
};

/// Modules of one type, named "0", "1", …, for a loop in the caller's `forward`.
template <std::derived_from<Module> M>
class ModuleList : public Module {
 public:
  ModuleList() : Module("ModuleList"), modules_(std::make_shared<std::vector<M>>()) {}

  void append(M module) {
    register_module(std::to_string(modules_->size()), module);
    modules_->push_back(std::move(module));
  }
  [[nodiscard]] std::size_t size() const noexcept { return modules_->size(); }
  [[nodiscard]] const M& operator[](std::size_t i) const { return modules_->at(i); }
  [[nodiscard]] auto begin() const noexcept { return modules_->cbegin(); }
  [[nodiscard]] auto end() const noexcept { return modules_->cend(); }

 private:
  std::shared_ptr<std::vector<M>> modules_;
};

}  // namespace troupe::nn
