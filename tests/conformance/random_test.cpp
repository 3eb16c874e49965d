#include "case.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

using namespace troupe;
using namespace troupe::conformance;

namespace {

constexpr std::int64_t count = 100'003;  // not a multiple of any register

/// A system on each instruction set, and what a call draws there.
template <class Body>
void on_each_set(Body body) {
  for (const std::string_view set : cpu::instruction_sets()) {
    System system(System::Options{.threads = 2});
    cpu::attach(system, {.instruction_set = std::string(set)});
    Scope scope(system);
    scope.seed(5);
    INFO(set);
    body(scope);
  }
}

struct Moments {
  double mean = 0;
  double deviation = 0;
};
template <class T>
Moments moments_of(const std::vector<T>& x) {
  Moments m;
  for (const T v : x) m.mean += static_cast<double>(v) / static_cast<double>(x.size());
  for (const T v : x)
    m.deviation += (static_cast<double>(v) - m.mean) * (static_cast<double>(v) - m.mean);
  m.deviation = std::sqrt(m.deviation / static_cast<double>(x.size()));
  return m;
}

/// Mean and deviation within five standard deviations of their own. `kurtosis`: the fourth moment
/// over the square of the second.
void check_moments(const Moments& got, double mean, double deviation, double kurtosis) {
  const double root = std::sqrt(static_cast<double>(count));
  CHECK(std::abs(got.mean - mean) <= 5 * deviation / root);
  CHECK(std::abs(got.deviation - deviation) <= 5 * deviation * std::sqrt(kurtosis - 1) / 2 / root);
}

/// The same seed and call give the same bits; another call, others.
void check_repeats(Scope& scope, const std::function<Tensor()>& call) {
  scope.seed(5);
  const auto bits = [&] {
    const Tensor x = call();
    std::vector<std::byte> bytes(x.meta().bytes());
    x.download(x.dtype(), bytes);
    return bytes;
  };
  const auto first = bits();
  CHECK(bits() != first);
  scope.seed(5);
  CHECK(bits() == first);
}

}  // namespace

TEST_CASE("uniform numbers fill their range evenly", "[conformance]") {
  covered().emplace("uniform");
  on_each_set([](Scope& scope) {
    const auto x = uniform({count}, -1, 3).to_vector<float>();
    CHECK(*std::min_element(x.begin(), x.end()) >= -1);
    CHECK(*std::max_element(x.begin(), x.end()) < 3);
    check_moments(moments_of(x), 1, 4 / std::sqrt(12.0), 1.8);
    const auto wide = rand({count}, DType::float64).to_vector<double>();
    CHECK(*std::max_element(wide.begin(), wide.end()) < 1);
    check_moments(moments_of(wide), 0.5, 1 / std::sqrt(12.0), 1.8);
    CHECK(rand_like(zeros({2, 3}, DType::float64)).meta() == Meta{DType::float64, {2, 3}});
    check_repeats(scope, [] { return rand({100}); });
  });
}

TEST_CASE("normal numbers have mean and deviation as asked", "[conformance]") {
  covered().emplace("normal");
  on_each_set([](Scope& scope) {
    const auto x = normal(2, 0.5, {count}).to_vector<float>();
    check_moments(moments_of(x), 2, 0.5, 3);
    // 68.27 % lie within one deviation.
    const auto near =
        std::count_if(x.begin(), x.end(), [](float v) { return std::abs(v - 2) < 0.5f; });
    const double n = static_cast<double>(count);
    CHECK(
        std::abs(static_cast<double>(near) - 0.6826895 * n) <= 5 * std::sqrt(n * 0.6827 * 0.3173));
    check_moments(moments_of(randn({count}, DType::float64).to_vector<double>()), 0, 1, 3);
    CHECK(randn_like(zeros({2, 3})).meta() == Meta{DType::float32, {2, 3}});
    CHECK(normal(1.5, 0, {3}).to_vector<float>() == std::vector<float>(3, 1.5f));
    check_repeats(scope, [] { return randn({100}); });
  });
}

TEST_CASE("randint draws every number of its range alike", "[conformance]") {
  covered().emplace("randint");
  on_each_set([](Scope& scope) {
    const auto x = randint(-2, 5, {count}).to_vector<std::int64_t>();
    const double n = static_cast<double>(count);
    for (std::int64_t k = -2; k < 5; ++k) {
      const auto seen = static_cast<double>(std::count(x.begin(), x.end(), k));
      CHECK(std::abs(seen - n / 7) <= 5 * std::sqrt(n / 7 * 6 / 7));
    }
    CHECK(*std::min_element(x.begin(), x.end()) == -2);
    CHECK(*std::max_element(x.begin(), x.end()) == 4);
    const auto small = randint(3, {50}).to_vector<std::int64_t>();
    CHECK(*std::max_element(small.begin(), small.end()) == 2);
    constexpr std::int64_t far = std::numeric_limits<std::int64_t>::min();
    const auto wide = randint(far, far + (std::int64_t{1} << 32), {100}).to_vector<std::int64_t>();
    CHECK(*std::max_element(wide.begin(), wide.end()) < far + (std::int64_t{1} << 32));
    check_repeats(scope, [] { return randint(0, 1000, {100}); });
  });
}

// Goal: the mask that an element is kept by is the one that its gradient is kept by. Method: a case
// whose reference cannot be known is replaced by what must hold between output and gradient.
TEST_CASE("dropout keeps the share that it should, and the mask its gradient", "[conformance]") {
  on_each_set([](Scope& scope) {
    for (const double p : {0.0, 0.25, 0.5, 1.0}) {
      scope.seed(11);
      const Tensor x = requires_grad(full({count}, 2));
      const Tensor y = dropout(x, p);
      const Tensor total = sum(y);
      const Tensor dx = grad(std::span(&total, 1), std::span(&x, 1))[0];
      const std::vector<float> values = y.to_vector<float>();
      const std::vector<float> gradients = dx.to_vector<float>();
      const auto kept_as = static_cast<float>(1 / (1 - p));
      std::int64_t kept = 0;
      bool consistent = true;
      for (std::size_t i = 0; i < values.size(); ++i) {
        kept += values[i] != 0 ? 1 : 0;
        consistent = consistent && values[i] == 2 * gradients[i] &&
                     (gradients[i] == 0 || gradients[i] == kept_as);
      }
      CHECK(consistent);
      // Five standard deviations of a binomial distribution.
      const double n = static_cast<double>(count);
      CHECK(std::abs(static_cast<double>(kept) - n * (1 - p)) <= 5 * std::sqrt(n * p * (1 - p)));
      if (p > 0 && p < 1) check_repeats(scope, [&] { return dropout(x.detach(), p); });
    }
  });
  // Through either door, derivatives included.
  Generator random(12);
  Case test{"dropout", {draw(random, {5, 7})}};
  test.call = [](std::span<const Tensor> in) {
    Scope::current().seed(3);
    return std::vector{dropout(in[0], 0.5), dropout(in[0], 0.5, false)};
  };
  const auto mask = [] {
    System system(System::Options{.threads = 1});
    cpu::attach(system);
    Scope scope(system);
    scope.seed(3);
    return dropout(ones({5, 7}), 0.5).to_vector<float>();
  }();
  test.reference = [mask](std::span<const Doubles> in) {
    Doubles y = in[0];
    for (std::int64_t i = 0; i < y.size(); ++i) y[i] *= mask[static_cast<std::size_t>(i)];
    return std::vector{y, in[0]};
  };
  test.linear = true;
  CHECK(check(test) == "");
}

// A product with 0 would leave what is not finite: NaN.
TEST_CASE("what dropout drops is 0, whatever it was", "[conformance]") {
  on_each_set([](Scope& scope) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    constexpr std::array values{infinity, -infinity, std::nan(""), -2.0};
    std::vector<double> elements;
    for (std::size_t i = 0; i < 1003; ++i) elements.push_back(values[i % values.size()]);
    for (const DType dtype : {DType::float32, DType::float64})
      for (const double p : {0.0, 0.5, 1.0}) {
        scope.seed(11);
        const Tensor x = cast(Tensor::copy_of<double>(elements, {1003}), dtype);
        const Tensor leaf = requires_grad(full({1003}, 1, dtype));
        const Tensor y = dropout(leaf, p);
        const Tensor total = sum(y * x);  // x is the gradient that comes in
        const auto kept = cast(y, DType::float64).to_vector<double>();
        scope.seed(11);
        const auto forward = cast(dropout(x, p), DType::float64).to_vector<double>();
        const auto backward = cast(grad(total, leaf), DType::float64).to_vector<double>();
        for (const std::vector<double>& found : {forward, backward})
          for (std::size_t i = 0; i < elements.size(); ++i) {
            const double expected = kept[i] != 0 ? elements[i] / (1 - p) : 0;
            INFO(i << ": " << found[i] << ", not " << expected);
            const bool same =
                found[i] == expected || (std::isnan(found[i]) && std::isnan(expected));
            REQUIRE(same);
            REQUIRE((kept[i] != 0 || !std::signbit(found[i])));
          }
      }
  });
}
