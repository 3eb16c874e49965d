#include "op_check.hpp"

#include <troupe/tensor/ops/gather.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

TEST_CASE("gather's kernels match their definitions", "[cpu]") {
  std::mt19937_64 random(1);
  struct Choice {
    Shape x, index;
    std::size_t axis;
  };
  for (const Choice& choice : std::vector<Choice>{
           {{9}, {20}, 0},
           {{300, 60}, {250, 90}, 1},
           {{30, 20, 40}, {80, 20, 33}, 0},
           {{4, 6, 5}, {4, 9, 5}, 1},
           {{4, 6}, {0, 6}, 0}}) {
    CAPTURE(to_string(choice.x), choice.axis);
    const Sample index = draw_sample(
        random,
        choice.index,
        0,
        static_cast<double>(choice.x[choice.axis]),
        choice.axis ? DType::int32 : DType::int64);
    /// Where element i of the index looks in x.
    const auto source = [&](std::int64_t i) {
      const double chosen = index[i];
      std::int64_t place = 0;
      std::int64_t step = 1;
      for (std::size_t d = choice.x.size(); d-- > 0;) {
        const std::int64_t at =
            d == choice.axis ? static_cast<std::int64_t>(chosen) : i % choice.index[d];
        i /= choice.index[d];
        place += at * step;
        step *= choice.x[d];
      }
      return place;
    };
    const auto dim = static_cast<std::int64_t>(choice.axis);
    CHECK(
        check_op(
            Gather{{}, dim},
            {draw_sample(random, choice.x), index},
            [&](const Samples& x) {
              Sample y = sample_of(choice.index);
              for (std::int64_t i = 0; i < y.meta.elements(); ++i) y[i] = x[0][source(i)];
              return Samples{y};
            },
            {0, 0}) == "");
    CHECK(
        check_op(
            GatherBackward{{}, dim, choice.x},
            {draw_sample(random, choice.index), index},
            [&](const Samples& x) {
              Sample dx = sample_of(choice.x);
              for (std::int64_t i = 0; i < x[0].meta.elements(); ++i) dx[source(i)] += x[0][i];
              return Samples{dx};
            },
            {1e-5, 1e-12}) == "");
  }
}

}  // namespace troupe::cpu::test
