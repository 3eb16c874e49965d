#include "op_check.hpp"

#include <troupe/tensor/ops/nll_loss.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

TEST_CASE("nll_loss's kernels match their definitions", "[cpu]") {
  std::mt19937_64 random(1);
  for (const Shape& shape : {Shape{5}, Shape{9000, 3}, Shape{40, 6, 20, 15}})
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum})
      for (const bool weighted : {false, true}) {
        CAPTURE(to_string(shape), int(reduction), weighted);
        const std::size_t axis = NllLoss::class_axis(shape);
        const std::int64_t classes = shape[axis];
        const std::int64_t inner = contiguous_strides(shape)[axis];
        Shape samples = shape;
        samples.erase(axis);
        Sample target = draw_sample(random, samples, 0, static_cast<double>(classes), DType::int64);
        if (shape.size() == 1) target[0] = 2;
        const Sample weight = draw_sample(random, {classes}, 0.5, 1.5);
        const auto place = [&](std::int64_t n) {
          return (n / inner * classes + static_cast<std::int64_t>(target[n])) * inner + n % inner;
        };
        const auto weight_of = [&](std::int64_t n) {
          if (target[n] == 1) return 0.0;  // the class that is ignored
          return weighted ? weight[static_cast<std::int64_t>(target[n])] : 1.0;
        };
        double divisor = 0;
        for (std::int64_t n = 0; n < elements_in(samples); ++n) divisor += weight_of(n);
        Sample divisor_sample = sample_of({});
        divisor_sample[0] = divisor;

        Samples in{draw_sample(random, shape, -3, 0), target};
        if (weighted) in.push_back(weight);
        CHECK(
            check_op(
                NllLoss{{}, reduction, 1},
                in,
                [&](const Samples& x) {
                  Sample each = sample_of(samples);
                  Sample total = sample_of({});
                  for (std::int64_t n = 0; n < elements_in(samples); ++n) {
                    each[n] = -weight_of(n) * x[0][place(n)];
                    total[0] += each[n];
                  }
                  if (reduction == Reduction::mean) total[0] /= divisor;
                  return Samples{reduction == Reduction::none ? each : total, divisor_sample};
                },
                {1e-5, 1e-11}) == "");

        Samples back{
            draw_sample(random, reduction == Reduction::none ? samples : Shape{}),
            target,
            divisor_sample};
        if (weighted) back.push_back(weight);
        CHECK(check_op(NllLossBackward{{}, reduction, 1, shape}, back, [&](const Samples& x) {
                Sample dx = sample_of(shape);
                for (std::int64_t n = 0; n < elements_in(samples); ++n) {
                  const double scale = x[0][reduction == Reduction::none ? n : 0] /
                                       (reduction == Reduction::mean ? divisor : 1);
                  dx[place(n)] = -weight_of(n) * scale;
                }
                return Samples{dx};
              }) == "");
      }
}

}  // namespace troupe::cpu::test
