#include "op_check.hpp"

#include <troupe/tensor/ops/concat.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

TEST_CASE("concat's kernel copies rows of every width", "[cpu]") {
  std::mt19937_64 random(1);
  for (const DType dtype : {DType::float64, DType::int64, DType::int32, DType::uint8})
    for (const std::size_t axis : {0, 1, 2}) {
      CAPTURE(name_of(dtype), axis);
      Samples in;
      for (std::int64_t k = 0; k < 8; ++k) {
        Shape shape{40, 50, 30};
        shape[axis] = k;
        in.push_back(draw_sample(random, shape, 0, 100, dtype));
      }
      CHECK(
          check_op(
              Concat{{}, static_cast<std::int64_t>(axis)},
              in,
              [&](const Samples& x) {
                Shape out{40, 50, 30};
                out[axis] = 28;
                Sample y = sample_of(out);
                const std::int64_t inner = contiguous_strides(out)[axis];
                std::int64_t start = 0;
                for (const Sample& piece : x) {
                  const std::int64_t rows = piece.meta.shape[axis] * inner;
                  for (std::int64_t i = 0; i < piece.meta.elements(); ++i)
                    y[i / rows * 28 * inner + start + i % rows] = piece[i];
                  start += rows;
                }
                return Samples{y};
              },
              {0, 0}) == "");
    }
}

}  // namespace troupe::cpu::test
