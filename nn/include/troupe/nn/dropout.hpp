#pragma once

#include <troupe/nn/module.hpp>

namespace troupe::nn {

/// While training, sets each element to 0 with probability `p` and divides the others by 1 − p;
/// else y = x. The scope's random state decides which.
///
/// Errors   `invalid_argument` for a probability outside of [0, 1].
class Dropout : public Layer<Dropout> {
 public:
  explicit Dropout(double p = 0.5);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  double p_;
};

}  // namespace troupe::nn
