#include "op_check.hpp"

#include <troupe/tensor/ops/cumsum.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

TEST_CASE("cumsum's kernel adds from either end", "[cpu]") {
  std::mt19937_64 random(1);
  for (const DType dtype : {DType::float64, DType::int64, DType::int32})
    for (const auto& [given, dim] : std::vector<std::pair<Shape, std::int64_t>>{
             {{9}, 0}, {{300, 70}, 1}, {{300, 70}, 0}, {{20, 30, 40}, -2}, {{0, 3}, 1}})
      for (const bool reverse : {false, true}) {
        const Shape shape = given;
        CAPTURE(name_of(dtype), to_string(shape), reverse);
        const std::size_t axis =
            static_cast<std::size_t>(dim < 0 ? dim + static_cast<std::int64_t>(shape.size()) : dim);
        CHECK(
            check_op(
                Cumsum{{}, dim, reverse},
                {draw_sample(random, shape, -9, 9, dtype)},
                [&](const Samples& x) {
                  Sample y = x[0];
                  const std::int64_t inner = contiguous_strides(shape)[axis];
                  const std::int64_t all = y.meta.elements();
                  for (std::int64_t k = 0; k < all; ++k) {
                    const std::int64_t i = reverse ? all - 1 - k : k;
                    const std::int64_t at = i / inner % shape[axis];
                    if (reverse ? at + 1 < shape[axis] : at > 0)
                      y[i] += y[reverse ? i + inner : i - inner];
                  }
                  return Samples{y};
                },
                {2e-4, 1e-12}) == "");
      }
}

}  // namespace troupe::cpu::test
