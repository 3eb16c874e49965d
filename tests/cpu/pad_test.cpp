#include "op_check.hpp"

#include <troupe/tensor/ops/pad.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {

TEST_CASE("pad's kernel writes borders and what lies between", "[cpu]") {
  std::mt19937_64 random(1);
  struct Choice {
    Shape x;
    Dims before, after;
  };
  for (const DType dtype : {DType::float64, DType::int64, DType::int32, DType::uint8})
    for (const Choice& choice : std::vector<Choice>{
             {{30, 40, 50}, {1, 2, 3}, {0, 1, 2}},
             {{30, 40, 50}, {-1, 2, -3}, {2, -3, 1}},
             {{5, 6}, {0, 7}, {0, -6}},
             {{5, 6}, {2, -6}, {0, 3}},
             {{}, {}, {}},
             {{0, 3}, {2, 0}, {0, 1}}}) {
      CAPTURE(name_of(dtype), to_string(choice.x), to_string(choice.before));
      const std::size_t rank = choice.x.size();
      CHECK(
          check_op(
              Pad{{}, choice.before, choice.after, 5},
              {draw_sample(random, choice.x, 0, 100, dtype)},
              [&](const Samples& x) {
                Shape out = choice.x;
                for (std::size_t d = 0; d < rank; ++d) out[d] += choice.before[d] + choice.after[d];
                Sample y = sample_of(out);
                for (std::int64_t i = 0; i < y.meta.elements(); ++i) {
                  std::int64_t rest = i;
                  std::int64_t place = 0;
                  std::int64_t step = 1;
                  bool inside = true;
                  for (std::size_t d = rank; d-- > 0;) {
                    const std::int64_t at = rest % out[d] - choice.before[d];
                    rest /= out[d];
                    inside = inside && at >= 0 && at < choice.x[d];
                    place += at * step;
                    step *= choice.x[d];
                  }
                  y[i] = inside ? x[0][place] : 5;
                }
                return Samples{y};
              },
              {0, 0}) == "");
    }
}

}  // namespace troupe::cpu::test
