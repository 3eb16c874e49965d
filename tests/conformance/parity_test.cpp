#include "case.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>
#include <vector>

// Where PyTorch has a corner, ours is the same: what PyTorch's documentation says, or its program
// prints, is written out here.
using namespace troupe;
using namespace troupe::conformance;

namespace {

struct World {
  System system{System::Options{.threads = 1}};
  Device& device{cpu::attach(system)};
  Scope scope{system};
};

template <class T>
Tensor of(std::vector<T> elements) {
  return Tensor::copy_of<T>(elements, {static_cast<std::int64_t>(elements.size())});
}
Tensor scalar(double x, DType dtype = DType::float32) { return full({}, x, dtype); }

using Floats = std::vector<float>;
using Whole = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("clamp's maximum wins, and fractions make integers floats", "[conformance]") {
  const World world;
  const Tensor x = of<float>({-2, 0, 5});
  CHECK(clamp(x, 3, 1).to_vector<float>() == Floats{1, 1, 1});
  CHECK(clamp(x, {}, 1).to_vector<float>() == Floats{-2, 0, 1});
  CHECK(clamp(x, 1).to_vector<float>() == Floats{1, 1, 5});
  const Tensor i = of<std::int32_t>({-2, 0, 5});
  CHECK(clamp(i, -1, 2).to_vector<std::int32_t>() == std::vector<std::int32_t>{-1, 0, 2});
  CHECK(clamp(i, 0.5, 2).to_vector<float>() == Floats{0.5f, 0.5f, 2});
  CHECK(clamp(of<std::uint8_t>({0, 200}), {}, 1.5).dtype() == DType::float32);
  CHECK(clamp(i > 0, 0, 1).dtype() == DType::int64);
  constexpr std::int64_t odd = (std::int64_t{1} << 53) + 1;
  CHECK(
      clamp(of<std::int64_t>({odd + 5, 0}), odd, odd + 2).to_vector<std::int64_t>() ==
      Whole{odd + 2, odd});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(clamp(of<float>({nan}), 0, 1).item()));
}

TEST_CASE("powers of integers by fractions are floats", "[conformance]") {
  const World world;
  const Tensor i = of<std::int32_t>({2, 3});
  CHECK(pow(i, 2).dtype() == DType::int32);
  CHECK(pow(i, 2.0).dtype() == DType::float32);
  CHECK(pow(i, 2.0).to_vector<float>() == Floats{4, 9});
  CHECK(pow(i, -1.0).to_vector<float>() == Floats{0.5f, 1 / 3.0f});
  CHECK(pow(i > 2, 2).dtype() == DType::int64);
  CHECK(pow(of<float>({2}), 2).dtype() == DType::float32);
  try {
    (void)pow(i, -1);
    FAIL("taken");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(error.op() == "pow");
    CHECK_FALSE(error.hint().empty());
  }
}

TEST_CASE("where promotes as all ops do", "[conformance]") {
  const World world;
  const Tensor yes = of<float>({1, -1}) > 0;
  const Tensor f = of<float>({1, 2});
  const Tensor i = of<std::int32_t>({1, 2});
  CHECK(where(yes, f, scalar(3, DType::float64)).dtype() == DType::float32);
  CHECK(where(yes, i, scalar(3, DType::float64)).dtype() == DType::float64);
  CHECK(where(yes, i, scalar(3, DType::int64)).dtype() == DType::int32);
  CHECK(where(yes, i, 1.5).dtype() == DType::float32);
  CHECK(where(yes, i, 1).dtype() == DType::int32);
  CHECK(where(yes, 1, 2).dtype() == DType::int64);
  CHECK(where(yes, true, false).dtype() == DType::boolean);
  CHECK(where(yes, 1, 0.5).to_vector<float>() == Floats{1, 0.5f});
  CHECK(
      where(yes, scalar(3), scalar(4, DType::float64)).to_vector<double>() ==
      std::vector<double>{3, 4});
}

TEST_CASE("scalars have one axis where the shape stays", "[conformance]") {
  Generator random(1);
  for (const std::int64_t axis : {0, -1}) {
    Case test{"scalars", {draw(random, {}, 0.5, 2)}};
    test.call = [axis](std::span<const Tensor> in) {
      const Tensor& x = in[0];
      return std::vector{
          sum(x, axis) * x,
          mean(x, axis, true) * x,
          prod(x, axis),
          amax(x, axis),
          max(x, axis).values,
          min(x, axis).values,
          softmax(x, axis),
          log_softmax(x, axis),
          cumsum(x, axis),
          squeeze(x, axis),
          transpose(x, axis, 0),
          cast(argmax(x, axis), DType::float64),
          cast(all(x > 0, axis), DType::float64)};
    };
    test.reference = [](std::span<const Doubles> in) {
      const double x = in[0][0];
      std::vector<Doubles> out;
      for (const double y : {x * x, x * x, x, x, x, x, 1.0, 0.0, x, x, x, 0.0, 1.0})
        out.push_back({{}, {y}});
      return out;
    };
    CHECK(check(test) == "");
  }
  const World world;
  CHECK_THROWS_AS(sum(scalar(1), 1), Error);
  CHECK_THROWS_AS(softmax(scalar(1), -2), Error);
  CHECK_THROWS_AS(scalar(1).size(0), Error);
  CHECK_THROWS_AS(select(scalar(1), 0, 0), Error);
}

TEST_CASE("pad mirrors and repeats", "[conformance]") {
  Generator random(2);
  struct Choice {
    Shape x;
    std::vector<std::int64_t> pads;
    PadMode mode;
  };
  for (const Choice& choice : std::vector<Choice>{
           {{4}, {3, 2}, PadMode::reflect},
           {{3, 4}, {1, 0, 2, 1}, PadMode::reflect},
           {{2, 3}, {2, 3}, PadMode::replicate},
           {{2, 1, 3}, {0, 1, 2, 2, 1, 1}, PadMode::replicate}}) {
    Case test{"pad " + to_string(choice.x), {draw(random, choice.x)}};
    test.call = [choice](std::span<const Tensor> in) {
      return std::vector{pad(in[0], choice.pads, choice.mode)};
    };
    test.reference = [choice](std::span<const Doubles> in) {
      const std::size_t rank = choice.x.size();
      Shape shape = choice.x;
      Dims before = Dims::filled(rank, 0);
      for (std::size_t k = 0; k < choice.pads.size(); k += 2) {
        before[rank - 1 - k / 2] = choice.pads[k];
        shape[rank - 1 - k / 2] += choice.pads[k] + choice.pads[k + 1];
      }
      Doubles y = zeros_of(shape);
      for (std::int64_t i = 0; i < y.size(); ++i) {
        std::int64_t rest = i;
        std::int64_t place = 0;
        std::int64_t step = 1;
        for (std::size_t d = rank; d-- > 0;) {
          std::int64_t at = rest % shape[d] - before[d];
          rest /= shape[d];
          const std::int64_t last = choice.x[d] - 1;
          if (choice.mode == PadMode::reflect)
            at = at < 0 ? -at : at > last ? 2 * last - at : at;
          else
            at = at < 0 ? 0 : at > last ? last : at;
          place += at * step;
          step *= choice.x[d];
        }
        y[i] = in[0][place];
      }
      return std::vector{y};
    };
    test.ulp_max = 0;
    test.linear = true;
    CHECK(check(test) == "");
  }
  const World world;
  CHECK_THROWS_AS(pad(ones({3}), {3, 0}, PadMode::reflect), Error);
  CHECK_THROWS_AS(pad(ones({0}), {1, 0}, PadMode::replicate), Error);
  CHECK_THROWS_AS(pad(ones({3}), {-1, 0}, PadMode::reflect), Error);
}

TEST_CASE("conv2d takes one image", "[conformance]") {
  Generator random(3);
  Case test{"conv2d of an image", {draw(random, {2, 4, 3}), draw(random, {3, 2, 2, 2})}};
  test.call = [](std::span<const Tensor> in) { return std::vector{conv2d(in[0], in[1])}; };
  test.reference = [](std::span<const Doubles> in) {
    Doubles y = zeros_of({3, 3, 2});
    for (std::int64_t i = 0; i < y.size(); ++i)
      for (std::int64_t k = 0; k < 8; ++k)
        y[i] +=
            in[0][(k / 4 * 4 + i / 2 % 3 + k / 2 % 2) * 3 + i % 2 + k % 2] * in[1][i / 6 * 8 + k];
    return std::vector{y};
  };
  test.scale = 16;
  CHECK(check(test) == "");
}

TEST_CASE("add and sub scale their second operand", "[conformance]") {
  Generator random(4);
  Case test{"alpha", {draw(random, {3, 4}), draw(random, {4})}};
  test.call = [](std::span<const Tensor> in) {
    return std::vector{add(in[0], in[1], 2.5), sub(in[0], in[1], -3), sub(in[0], 0.5, 2)};
  };
  test.reference = [](std::span<const Doubles> in) {
    std::vector<Doubles> out(3, in[0]);
    for (std::int64_t i = 0; i < 12; ++i) {
      out[0][i] += 2.5 * in[1][i % 4];
      out[1][i] += 3 * in[1][i % 4];
      out[2][i] -= 1;
    }
    return out;
  };
  test.scale = 8;
  test.linear = true;
  CHECK(check(test) == "");
  const World world;
  const Tensor i = of<std::int64_t>({1, 2});
  CHECK(add(i, i, 3).to_vector<std::int64_t>() == Whole{4, 8});
  CHECK(sub(i, 1, 2).to_vector<std::int64_t>() == Whole{-1, 0});
  CHECK(add(i, 0.5, 2).to_vector<float>() == Floats{2, 3});
  CHECK_THROWS_AS(add(i, i, 1.5), Error);
}

TEST_CASE("div rounds as it is told, and integers stay integers", "[conformance]") {
  const World world;
  const Tensor a = of<std::int64_t>({7, -7, 7, -7});
  const Tensor b = of<std::int64_t>({2, 2, -2, -2});
  CHECK(div(a, b, Rounding::trunc).to_vector<std::int64_t>() == Whole{3, -3, -3, 3});
  CHECK(div(a, b, Rounding::floor).to_vector<std::int64_t>() == Whole{3, -4, -4, 3});
  CHECK(div(a, b).to_vector<float>() == Floats{3.5f, -3.5f, -3.5f, 3.5f});
  constexpr std::int64_t odd = (std::int64_t{1} << 53) + 1;
  CHECK(div(of<std::int64_t>({odd}), 1, Rounding::floor).item<std::int64_t>() == odd);
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  CHECK(
      div(of<std::int64_t>({least, 5}), of<std::int64_t>({-1, 0}), Rounding::trunc)
          .to_vector<std::int64_t>() == Whole{least, 0});
  // 1 / 0.1 rounds to 10, but ten times 0.1 is more than 1: PyTorch gives 9.
  CHECK(div(full({1}, 1, DType::float64), 0.1, Rounding::floor).item() == 9);
  CHECK(
      div(of<float>({1, -1}), 0.0, Rounding::floor).to_vector<float>() ==
      Floats{INFINITY, -INFINITY});
  CHECK(std::signbit(div(of<float>({-0.0f}), 3.0, Rounding::floor).item<float>()));
}
