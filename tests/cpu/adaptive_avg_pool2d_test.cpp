#include "op_check.hpp"

#include <troupe/tensor/ops/adaptive_avg_pool2d.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

/// Calls `look(output, input, divisor)` for each element that each window sees.
void for_each_look(
    const Shape& input,
    const Dims& size,
    const std::function<void(std::int64_t, std::int64_t, double)>& look) {
  const std::size_t r = input.size() - 2;
  const std::int64_t planes = elements_in(input) / (input[r] * input[r + 1]);
  for (std::int64_t o = 0; o < planes * size[0] * size[1]; ++o) {
    const std::int64_t plane = o / (size[0] * size[1]);
    const std::int64_t places[2] = {o / size[1] % size[0], o % size[1]};
    std::int64_t begin[2];
    std::int64_t end[2];
    for (std::size_t a = 0; a < 2; ++a) {
      begin[a] = places[a] * input[r + a] / size[a];
      end[a] = ((places[a] + 1) * input[r + a] + size[a] - 1) / size[a];
    }
    const auto divisor = static_cast<double>((end[0] - begin[0]) * (end[1] - begin[1]));
    for (std::int64_t i = begin[0]; i < end[0]; ++i)
      for (std::int64_t j = begin[1]; j < end[1]; ++j)
        look(o, (plane * input[r] + i) * input[r + 1] + j, divisor);
  }
}

}  // namespace

TEST_CASE("adaptive_avg_pool2d's kernels match their definitions", "[cpu]") {
  std::mt19937_64 random(1);
  const std::vector<std::pair<Shape, Dims>> cases{
      {{30, 20, 13, 11}, {4, 3}}, {{3, 7, 40}, {1, 1}}, {{2, 2, 3, 5}, {6, 5}}};
  for (const auto& [shape, given] : cases) {
    CAPTURE(to_string(shape));
    const Shape input = shape;
    const Dims size = given;
    Shape out = input;
    out[out.size() - 2] = size[0];
    out[out.size() - 1] = size[1];
    CHECK(
        check_op(
            AdaptiveAvgPool2d{{}, size},
            {draw_sample(random, input)},
            [&](const Samples& x) {
              Sample y = sample_of(out);
              for_each_look(input, size, [&](std::int64_t o, std::int64_t i, double divisor) {
                y[o] += x[0][i] / divisor;
              });
              return Samples{y};
            },
            {1e-5, 1e-12}) == "");
    AdaptiveAvgPool2dBackward backward;
    backward.input_shape = input;
    CHECK(
        check_op(
            backward,
            {draw_sample(random, out)},
            [&](const Samples& x) {
              Sample dx = sample_of(input);
              for_each_look(input, size, [&](std::int64_t o, std::int64_t i, double divisor) {
                dx[i] += x[0][o] / divisor;
              });
              return Samples{dx};
            },
            {1e-5, 1e-12}) == "");
  }
}

}  // namespace troupe::cpu::test
