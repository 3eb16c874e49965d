#include "op_check.hpp"

#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/philox.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

// Goal: an element's fate depends on the seed, the random call and its place, on nothing else.
// Method: each is drawn again by itself from the block it belongs to.
TEST_CASE("dropout draws each element from its own counter", "[cpu]") {
  std::mt19937_64 random(1);
  for (const double p : {0.0, 0.1, 0.5, 1.0})
    for (const std::int64_t size : {1, 63, 64, 65, 40001}) {
      CAPTURE(p, size);
      CHECK(check_op(Dropout{{}, p}, {draw_sample(random, {size})}, [&](const Samples& x) {
              Sample y = x[0];
              Sample mask = x[0];
              for (std::int64_t i = 0; i < size; ++i) {
                // run_op's seed and random call.
                const auto block = philox<void>(42, 0, static_cast<std::uint64_t>(i / 4));
                const double drawn = block.words[i % 4] * 0x1p-32;
                mask[i] = drawn >= p ? 1 : 0;
                y[i] = mask[i] != 0 ? x[0][i] / (1 - p) : 0;
              }
              return Samples{y, mask};
            }) == "");
    }
}

TEST_CASE("dropout's gradient passes where the mask is set", "[cpu]") {
  std::mt19937_64 random(2);
  const Sample mask = draw_sample(random, {40001}, 0, 2, DType::boolean);
  CHECK(
      check_op(
          DropoutBackward{{}, 0.25}, {draw_sample(random, {40001}), mask}, [](const Samples& x) {
            Sample dx = x[0];
            for (std::int64_t i = 0; i < 40001; ++i) dx[i] = x[1][i] != 0 ? x[0][i] / 0.75 : 0;
            return Samples{dx};
          }) == "");
}

TEST_CASE("another random call gives another mask", "[cpu]") {
  const Samples ones{{{DType::float64, {1000}}, std::vector<double>(1000, 1.0)}};
  for (const NamedPlan& kernel : kernels<Dropout>()) {
    const auto draw = [&](std::uint64_t call) {
      return run_op(kernel.plan, Dropout{}, ones, DType::float32, Layout::contiguous, 0, call)[1]
          .data;
    };
    CHECK(draw(3) == draw(3));
    CHECK(draw(3) != draw(4));
  }
}

}  // namespace troupe::cpu::test
