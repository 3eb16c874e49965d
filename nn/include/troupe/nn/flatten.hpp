#pragma once

#include <troupe/nn/module.hpp>

#include <cstdint>

namespace troupe::nn {

/// Makes one dimension of those from `start_dim` to `end_dim`: images to rows of features.
class Flatten : public Layer<Flatten> {
 public:
  explicit Flatten(std::int64_t start_dim = 1, std::int64_t end_dim = -1);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  std::int64_t start_dim_;
  std::int64_t end_dim_;
};

/// y = x: stands for a layer that was left out.
class Identity : public Layer<Identity> {
 public:
  Identity() : Layer("Identity") {}
  [[nodiscard]] Tensor forward(const Operand& input) const;
};

}  // namespace troupe::nn
