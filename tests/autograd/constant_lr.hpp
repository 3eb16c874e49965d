#pragma once

#include <troupe/autograd/capture.hpp>
#include <troupe/tensor/creation.hpp>

#include <span>
#include <vector>

namespace troupe::test {

/// Scalars of an update that are the same in each step, through either door.
inline Tensor constant_lr(double lr) {
  if (Capture* capture = Capture::current())
    return capture->scalars(
        [lr](std::span<double> numbers) {
          numbers[0] = lr;
          numbers[1] = 1;
        },
        2);
  return Tensor::copy_of<double>(std::vector<double>{lr, 1}, {2});
}

}  // namespace troupe::test
