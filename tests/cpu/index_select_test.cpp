#include "op_check.hpp"

#include <troupe/tensor/ops/embedding.hpp>
#include <troupe/tensor/ops/index_select.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

TEST_CASE("index_select's kernels match their definitions", "[cpu]") {
  std::mt19937_64 random(1);
  struct Choice {
    Shape x;
    std::size_t axis;
    std::int64_t count;
  };
  // Enough slices, and rows enough to add to, for several chunks.
  for (const Choice& choice : std::vector<Choice>{
           {{5}, 0, 9},
           {{300, 200}, 0, 70},
           {{40, 7, 30}, 1, 50},
           {{3, 1000}, 1, 5},
           {{6, 2}, 0, 0}}) {
    CAPTURE(to_string(choice.x), choice.axis);
    const std::int64_t length = choice.x[choice.axis];
    const std::int64_t inner = contiguous_strides(choice.x)[choice.axis];
    Shape out = choice.x;
    out[choice.axis] = choice.count;
    const Sample index = draw_sample(
        random,
        {choice.count},
        0,
        static_cast<double>(length),
        choice.axis ? DType::int32 : DType::int64);
    const auto source = [&](std::int64_t i) {
      const std::int64_t j = i / inner % choice.count;
      return (i / inner / choice.count * length + static_cast<std::int64_t>(index[j])) * inner +
             i % inner;
    };
    const auto dim = static_cast<std::int64_t>(choice.axis);
    CHECK(
        check_op(
            IndexSelect{{}, dim},
            {draw_sample(random, choice.x), index},
            [&](const Samples& x) {
              Sample y = sample_of(out);
              for (std::int64_t i = 0; i < y.meta.elements(); ++i) y[i] = x[0][source(i)];
              return Samples{y};
            },
            {0, 0}) == "");
    CHECK(
        check_op(
            IndexSelectBackward{{}, dim, choice.x},
            {draw_sample(random, out), index},
            [&](const Samples& x) {
              Sample dx = sample_of(choice.x);
              for (std::int64_t i = 0; i < x[0].meta.elements(); ++i) dx[source(i)] += x[0][i];
              return Samples{dx};
            },
            {1e-5, 1e-12}) == "");
  }
}

TEST_CASE("embedding leaves the padding row without a gradient", "[cpu]") {
  std::mt19937_64 random(2);
  for (const std::int64_t padding : {-1, 3}) {
    const Sample indices = draw_sample(random, {20, 30}, 0, 50, DType::int64);
    const Sample weight = draw_sample(random, {50, 17});
    CHECK(
        check_op(
            Embedding{{}, padding},
            {indices, weight},
            [&](const Samples& x) {
              Sample y = sample_of({20, 30, 17});
              for (std::int64_t i = 0; i < y.meta.elements(); ++i)
                y[i] = x[1][static_cast<std::int64_t>(x[0][i / 17]) * 17 + i % 17];
              return Samples{y};
            },
            {0, 0}) == "");
    CHECK(
        check_op(
            EmbeddingBackward{{}, 50, padding},
            {draw_sample(random, {20, 30, 17}), indices},
            [&](const Samples& x) {
              Sample dw = sample_of({50, 17});
              for (std::int64_t i = 0; i < x[0].meta.elements(); ++i) {
                const auto row = static_cast<std::int64_t>(x[1][i / 17]);
                if (row != padding) dw[row * 17 + i % 17] += x[0][i];
              }
              return Samples{dw};
            },
            {1e-5, 1e-12}) == "");
  }
}

}  // namespace troupe::cpu::test
