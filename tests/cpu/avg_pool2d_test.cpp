#include "op_check.hpp"

#include <troupe/tensor/ops/avg_pool2d.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

/// Calls `look(output, input, divisor)` for each element that each window sees.
void for_each_look(
    const AvgPool2dRule& rule,
    const Shape& input,
    const std::function<void(std::int64_t, std::int64_t, double)>& look) {
  const Shape out = rule.pooled({DType::float64, input});
  const std::size_t r = input.size() - 2;
  for (std::int64_t o = 0; o < elements_in(out); ++o) {
    const std::int64_t plane = o / (out[r] * out[r + 1]);
    const std::int64_t places[2] = {o / out[r + 1] % out[r], o % out[r + 1]};
    std::int64_t begin[2];
    std::int64_t end[2];
    double divisor = 1;
    for (std::size_t a = 0; a < 2; ++a) {
      begin[a] = places[a] * rule.stride[a] - rule.padding[a];
      end[a] = std::min(begin[a] + rule.kernel_size[a], input[r + a] + rule.padding[a]);
      if (rule.count_include_pad) divisor *= static_cast<double>(end[a] - begin[a]);
      begin[a] = std::max<std::int64_t>(begin[a], 0);
      end[a] = std::min(end[a], input[r + a]);
      if (!rule.count_include_pad) divisor *= static_cast<double>(end[a] - begin[a]);
    }
    if (rule.divisor_override) divisor = static_cast<double>(rule.divisor_override);
    for (std::int64_t i = begin[0]; i < end[0]; ++i)
      for (std::int64_t j = begin[1]; j < end[1]; ++j)
        look(o, (plane * input[r] + i) * input[r + 1] + j, divisor);
  }
}

const std::vector<std::pair<Shape, AvgPool2dRule>> cases{
    {{2, 3, 8, 8}, {{}, {2, 2}, {2, 2}, {0, 0}, false, true, 0}},
    {{40, 5, 15, 17}, {{}, {3, 3}, {2, 2}, {1, 1}, true, true, 0}},
    {{2, 7, 9}, {{}, {3, 2}, {2, 3}, {1, 1}, true, false, 0}},
    {{1, 2, 20, 40}, {{}, {5, 33}, {1, 1}, {0, 0}, false, true, 7}},
    {{0, 2, 4, 4}, {{}, {2, 2}, {2, 2}, {0, 0}, false, true, 0}}};

}  // namespace

TEST_CASE("avg_pool2d's kernels match their definitions", "[cpu]") {
  std::mt19937_64 random(1);
  for (const auto& [shape, rule] : cases) {
    CAPTURE(to_string(shape));
    const Shape input = shape;
    const AvgPool2dRule r = rule;
    const Shape out = r.pooled({DType::float64, input});
    CHECK(
        check_op(
            AvgPool2d{r},
            {draw_sample(random, input)},
            [&](const Samples& x) {
              Sample y = sample_of(out);
              for_each_look(r, input, [&](std::int64_t o, std::int64_t i, double divisor) {
                y[o] += x[0][i] / divisor;
              });
              return Samples{y};
            },
            {1e-5, 1e-12}) == "");
    CHECK(
        check_op(
            AvgPool2dBackward{r, input},
            {draw_sample(random, out)},
            [&](const Samples& x) {
              Sample dx = sample_of(input);
              for_each_look(r, input, [&](std::int64_t o, std::int64_t i, double divisor) {
                dx[i] += x[0][o] / divisor;
              });
              return Samples{dx};
            },
            {1e-5, 1e-12}) == "");
  }
}

}  // namespace troupe::cpu::test
