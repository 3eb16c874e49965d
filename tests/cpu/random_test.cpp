#include "op_check.hpp"

#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/philox.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

// Goal: an element's fate depends on the seed, the random call and its place, on nothing else.
// Method: each is drawn again by itself from the block it belongs to.
TEST_CASE("a mask draws each element from its own counter", "[cpu]") {
  for (const double p : {0.0, 0.1, 0.5, 1.0})
    for (const std::int64_t size : {1, 63, 64, 65, 511, 512, 40001}) {
      CAPTURE(p, size);
      DropoutMask op;
      op.shape = {size};
      op.p = p;
      CHECK(check_op(op, {}, [&](const Samples&) {
              Sample mask{{DType::boolean, {size}}, {}};
              for (std::int64_t i = 0; i < size; ++i) {
                // run_op's seed and random call.
                const auto block = philox<void>(42, 0, static_cast<std::uint64_t>(i / 4));
                mask.data.push_back(block.words[i % 4] * 0x1p-32 >= p ? 1 : 0);
              }
              return Samples{mask};
            }) == "");
    }
}

TEST_CASE("another random call gives another mask", "[cpu]") {
  DropoutMask op;
  op.shape = {1000};
  for (const NamedPlan& kernel : kernels<DropoutMask>()) {
    const auto draw = [&](std::uint64_t call) {
      return run_op(kernel.plan, op, {}, DType::float32, Layout::contiguous, 0, call)[0].data;
    };
    CHECK(draw(3) == draw(3));
    CHECK(draw(3) != draw(4));
  }
}

}  // namespace troupe::cpu::test
