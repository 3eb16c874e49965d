#include "op_check.hpp"

#include <troupe/tensor/ops/one_hot.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

TEST_CASE("one_hot's kernel writes one in each row", "[cpu]") {
  std::mt19937_64 random(1);
  for (const DType dtype : {DType::int64, DType::int32})
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{60, 50}}) {
      CAPTURE(name_of(dtype), to_string(shape));
      CHECK(
          check_op(
              OneHot{{}, 13},
              {draw_sample(random, shape, 0, 13, dtype)},
              [&](const Samples& x) {
                Shape out = shape;
                out.push_back(13);
                Sample y = sample_of(out);
                for (std::int64_t i = 0; i < elements_in(shape); ++i)
                  y[i * 13 + static_cast<std::int64_t>(x[0][i])] = 1;
                return Samples{y};
              },
              {0, 0}) == "");
    }
}

}  // namespace troupe::cpu::test
