#pragma once

#include <troupe/nn/module.hpp>

#include <cstdint>

namespace troupe::nn {

/// y = x · weightᵀ + bias, for x [..., in_features]. Parameters weight [out, in] and bias [out],
/// both begun even in ±1/√in_features.
class Linear : public Layer<Linear> {
 public:
  Linear(std::int64_t in_features, std::int64_t out_features, bool bias = true);

  [[nodiscard]] Tensor forward(const Operand& input) const;
  [[nodiscard]] const Parameter& weight() const noexcept { return weight_; }
  [[nodiscard]] const Parameter& bias() const noexcept { return bias_; }  ///< undefined: none

 private:
  Parameter weight_;
  Parameter bias_;
};

}  // namespace troupe::nn
