#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/conv2d.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/nn/linear.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace troupe;
namespace init = nn::init;
using Catch::Approx;

namespace {

struct Moments {
  double mean = 0;
  double std = 0;
  double low = 0;
  double high = 0;
};

Moments moments_of(const Tensor& tensor) {
  const std::vector<float> x = tensor.to_vector<float>();
  Moments m{0, 0, x[0], x[0]};
  for (const double v : x) {
    m.mean += v / static_cast<double>(x.size());
    m.low = std::min(m.low, v);
    m.high = std::max(m.high, v);
  }
  for (const double v : x) m.std += (v - m.mean) * (v - m.mean) / static_cast<double>(x.size());
  m.std = std::sqrt(m.std);
  return m;
}

/// 20,000 draws: standard deviations are right to about half a percent.
void check_normal(const Tensor& tensor, double std) {
  const Moments m = moments_of(tensor);
  CHECK(std::abs(m.mean) < 0.04 * std);
  CHECK(m.std == Approx(std).epsilon(0.03));
  CHECK(m.high > 2.5 * std);
}
void check_uniform(const Tensor& tensor, double bound) {
  const Moments m = moments_of(tensor);
  CHECK(std::abs(m.mean) < 0.03 * bound);
  CHECK(m.std == Approx(bound / std::sqrt(3.0)).epsilon(0.03));
  CHECK(m.low >= -bound);
  CHECK(m.low < -0.99 * bound);
  CHECK(m.high <= bound * (1 + 1e-7));
  CHECK(m.high > 0.99 * bound);
}

constexpr auto nonlinearity = init::Nonlinearity::relu;
const Shape shape{200, 100};

}  // namespace

TEST_CASE("initial values are distributed as their names say", "[nn]") {
  test::Engine engine;
  engine.scope.seed(11);
  check_uniform(init::uniform(shape, -2, 2), 2);
  check_normal(init::normal(shape, 0, 3), 3);
  check_uniform(init::xavier_uniform(shape, 2), 2 * std::sqrt(6.0 / 300));
  check_normal(init::xavier_normal(shape), std::sqrt(2.0 / 300));
  check_uniform(init::kaiming_uniform(shape, std::sqrt(5.0)), 0.1);
  check_uniform(
      init::kaiming_uniform(shape, 0, init::Fan::out, nonlinearity), std::sqrt(6.0 / 200));
  check_normal(init::kaiming_normal(shape, 0, init::Fan::in, nonlinearity), std::sqrt(2.0 / 100));

  const Moments cut = moments_of(init::trunc_normal(shape, 1, 2, 0, 3));
  CHECK(cut.low >= 0);
  CHECK(cut.high <= 3);
  CHECK(cut.mean == Approx(1.5).epsilon(0.2));
}

TEST_CASE("fans are counted over a convolution's kernel", "[nn]") {
  const init::Fans fans = init::fans_of({8, 4, 3, 5});
  CHECK(fans.in == 60);
  CHECK(fans.out == 120);
  CHECK_THROWS_AS(init::fans_of({4}), Error);
}

TEST_CASE("gains are PyTorch's", "[nn]") {
  CHECK(init::calculate_gain(init::Nonlinearity::linear) == 1);
  CHECK(init::calculate_gain(init::Nonlinearity::tanh) == Approx(5.0 / 3));
  CHECK(init::calculate_gain(init::Nonlinearity::relu) == Approx(std::sqrt(2.0)));
  CHECK(init::calculate_gain(init::Nonlinearity::leaky_relu, 1) == Approx(1));
  CHECK(init::calculate_gain(init::Nonlinearity::selu) == 0.75);
}

TEST_CASE("orthogonal rows are orthogonal", "[nn]") {
  test::Engine engine;
  for (const Shape& s : {Shape{3, 7}, Shape{7, 3}, Shape{4, 2, 3}}) {
    const std::vector<double> x = init::orthogonal(s, 2, DType::float64).to_vector<double>();
    const auto rows = static_cast<std::size_t>(s[0]);
    const std::size_t columns = x.size() / rows;
    const std::size_t vectors = std::min(rows, columns);
    for (std::size_t i = 0; i < vectors; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        double dot = 0;
        for (std::size_t k = 0; k < std::max(rows, columns); ++k)
          dot += rows <= columns ? x[i * columns + k] * x[j * columns + k]
                                 : x[k * columns + i] * x[k * columns + j];
        CHECK(dot == Approx(i == j ? 4 : 0).margin(1e-12));
      }
  }
}

TEST_CASE("the same seed gives the same model", "[nn]") {
  test::Engine engine;
  const auto weights = [&](std::uint64_t seed) {
    engine.scope.seed(seed);
    const nn::Linear linear(5, 4);
    const nn::Conv2d conv(2, 3, 3);
    std::vector<float> all;
    for (const nn::Module& module : {nn::Module(linear), nn::Module(conv)})
      for (const Parameter& parameter : module.parameters())
        for (const float x : parameter.tensor().to_vector<float>()) all.push_back(x);
    return all;
  };
  CHECK(weights(1) == weights(1));
  CHECK(weights(1) != weights(2));
}

TEST_CASE("initial values go into parameters of any floating dtype", "[nn]") {
  test::Engine engine;
  Parameter parameter(init::zeros({3, 2}, DType::float64));
  init::ones_(parameter);
  CHECK(parameter.tensor().to_vector<double>() == std::vector<double>(6, 1.0));
  init::eye_(parameter);
  CHECK(parameter.tensor().to_vector<double>() == std::vector<double>{1, 0, 0, 1, 0, 0});
  init::xavier_uniform_(parameter);
  init::trunc_normal_(parameter);
  init::orthogonal_(parameter);
  CHECK(parameter.dtype() == DType::float64);
}

TEST_CASE("initial values out of range are refused", "[nn]") {
  test::Engine engine;
  CHECK_THROWS_AS(init::uniform({2}, 1, 0), Error);
  CHECK_THROWS_AS(init::normal({2}, 0, -1), Error);
  CHECK_THROWS_AS(init::trunc_normal({2}, 0, 1, 5, 6), Error);
  CHECK_THROWS_AS(init::kaiming_uniform({2}), Error);
  CHECK_THROWS_AS(init::uniform({2}, 0, 1, DType::int64), Error);
}
