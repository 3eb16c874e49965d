#include "pack_math.hpp"

#include "kernel_tables.hpp"

#include <catch2/catch_test_macros.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace troupe::cpu::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Floats of all magnitudes and both signs, evenly over their bit patterns; and by hand the ones
/// near which formulas change: zeros, the smallest and largest, overflows and underflows.
std::vector<float> floats() {
  std::vector<float> all{
      0.0F,    -0.0F, infinity, -infinity, 1e-45F,   -1e-45F,   1.1754942e-38F, 3.4e38F,  -3.4e38F,
      88.7F,   88.8F, -87.4F,   -88.8F,    -103.9F,  -104.1F,   64.0F,          -64.0F,   -63.99F,
      -64.01F, 8.9F,  9.1F,     0.34657F,  0.34658F, -0.34657F, 16.636F,        -16.636F, 4.0F,
      3.99F,   5.75F, -5.75F,   -9.2F,     -9.3F,    -14.0F,    40.0F,          -40.0F};
  constexpr std::uint32_t step = 32'749;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += step) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (x == x) all.push_back(x);
  }
  // The range in which functions bend, more finely.
  for (int i = -40'000; i <= 40'000; ++i) all.push_back(static_cast<float>(i) * 2.7e-4F);
  return all;
}

/// The distance of floats at `x`.
double ulp(double x) {
  const auto single = static_cast<float>(std::abs(x));
  return static_cast<double>(std::nextafter(single, infinity)) - static_cast<double>(single);
}

/// Runs an op on all instruction sets. Errors count in units in the last place of the result, or of
/// x · `share` where that is larger; results that overflow must do so within a unit as well.
template <class Op>
void check_ulp(const Op& op, double ulp_max, double share = 0) {
  const std::vector<float> x = floats();
  for (const NamedTable& set : kernel_tables()) {
    const Expression run =
        set.table.expressions[index_of<Op>]->by_dtype[static_cast<std::size_t>(DType::float32)];
    std::vector<float> y(x.size());
    const void* in[] = {x.data()};
    run(&op, y.data(), in, static_cast<std::int64_t>(x.size()));
    double worst = 0;
    float worst_at = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = op.reference(static_cast<double>(x[i]));
      const auto got = static_cast<double>(y[i]);
      if (std::isnan(want) || std::isinf(x[i])) {
        // At infinity a limit may stand for what the formula leaves open.
        if (!std::isnan(want)) CHECK(y[i] == static_cast<float>(want));
        continue;
      }
      if (y[i] == static_cast<float>(want)) continue;
      const double largest = std::numeric_limits<float>::max();
      const double scale = std::min(std::max(std::abs(want), share * std::abs(x[i])), largest / 2);
      const double error =
          std::abs(std::clamp(got, -largest, largest) - std::clamp(want, -largest, largest)) /
          ulp(scale);
      if (!(error <= worst)) {
        worst = error;
        worst_at = x[i];
      }
    }
    CAPTURE(Op::name, set.isa, worst_at);
    // Products are rounded before they are added on SSE2, which has no FMA.
    CHECK(worst <= ulp_max + (set.isa == "sse2" ? 0.4 : 0));

    // A NaN stays, wherever it stands, and changes nothing beside it.
    for (std::size_t at = 0; at < 40; at += 13) {
      std::vector<float> some(x.begin(), x.begin() + 40);
      some[at] = std::numeric_limits<float>::quiet_NaN();
      std::vector<float> out(40);
      const void* from[] = {some.data()};
      run(&op, out.data(), from, 40);
      CHECK(std::isnan(out[at]));
      for (std::size_t i = 0; i < 40; ++i)
        if (i != at) CHECK(std::memcmp(&out[i], &y[i], sizeof(float)) == 0);
    }
    // Nor does an element's place.
    std::vector<float> shifted(x.size() - 5);
    const void* from[] = {x.data() + 5};
    run(&op, shifted.data(), from, static_cast<std::int64_t>(shifted.size()));
    CHECK(std::memcmp(shifted.data(), y.data() + 5, shifted.size() * sizeof(float)) == 0);
  }
}

}  // namespace

// The bounds stand in pack_math.hpp.
TEST_CASE("functions of floats keep their bounds over all magnitudes", "[cpu]") {
  check_ulp(Exp{}, 1);
  check_ulp(Expm1{}, 1.6);
  check_ulp(Log{}, 1);
  check_ulp(Log1p{}, 1.5);
  check_ulp(Tanh{}, 2);
  check_ulp(Sigmoid{}, 2.5);
  check_ulp(Silu{}, 2.5);
  check_ulp(Erf{}, 2);
}

TEST_CASE("gelu keeps its bound, and its tail vanishes", "[cpu]") {
  check_ulp(Gelu{}, 2.2, 0.125);
  check_ulp(Gelu{{}, GeluForm::tanh}, 2, 0.125);
}

}  // namespace troupe::cpu::test
