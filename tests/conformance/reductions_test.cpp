#include "case.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace troupe;
using namespace troupe::conformance;

namespace {

/// Calls `fold(elements)` with the elements that each output element is made of, in their order.
template <class Fold>
Doubles folded(const Doubles& x, const Dims& given_axes, bool keepdim, Fold fold) {
  const Dims axes = normalize_axes(given_axes, x.shape.size());
  const auto folds = [&](std::size_t d) {
    return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(d)) != axes.end();
  };
  std::vector<std::vector<double>> groups(
      static_cast<std::size_t>(elements_in(reduced_shape(x.shape, axes, false))));
  for (std::int64_t i = 0; i < x.size(); ++i) {
    std::int64_t rest = i;
    std::int64_t at = 0;
    std::int64_t step = 1;
    for (std::size_t d = x.shape.size(); d-- > 0;) {
      if (!folds(d)) {
        at += rest % x.shape[d] * step;
        step *= x.shape[d];
      }
      rest /= x.shape[d];
    }
    groups[static_cast<std::size_t>(at)].push_back(x[i]);
  }
  Doubles out{reduced_shape(x.shape, axes, keepdim), {}};
  for (const auto& group : groups) out.data.push_back(fold(group));
  return out;
}

double sum_of(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v;
  return sum;
}
double product_of(const std::vector<double>& x) {
  double product = 1;
  for (const double v : x) product *= v;
  return product;
}
double variance_of(const std::vector<double>& x, double correction) {
  const double mean = sum_of(x) / static_cast<double>(x.size());
  double sum = 0;
  for (const double v : x) sum += (v - mean) * (v - mean);
  return sum / (static_cast<double>(x.size()) - correction);
}

struct Choice {
  Shape shape;
  Dims axes;
  bool keepdim = false;
};
const std::vector<Choice> choices = {
    {{7}, {0}},
    {{5, 6}, {1}},
    {{5, 6}, {0}, true},
    {{5, 6}, {}},
    {{2, 3, 4}, {1}},
    {{2, 3, 4}, {0, 2}, true},
    {{2, 3, 2, 2}, {-1, 0, -2}},
    {{2, 2, 2, 2, 2}, {0, 2, 4}},
    {{}, {}},
    {{3, 1, 4}, {1}},
};

void check_fold(
    std::string name,
    const std::function<Tensor(const Tensor&, const Dims&, bool)>& call,
    const std::function<double(const std::vector<double>&)>& fold,
    bool differentiable = true,
    bool linear = false) {
  Generator random(name.size() * 7919 + static_cast<unsigned char>(name[0]));
  for (const Choice& choice : choices) {
    Case test;
    test.name = name + " over " + to_string(choice.axes) + " of " + to_string(choice.shape);
    test.inputs = {draw(random, choice.shape, 0.5, 2)};
    test.call = [&](std::span<const Tensor> in) {
      return std::vector<Tensor>{call(in[0], choice.axes, choice.keepdim)};
    };
    test.reference = [&](std::span<const Doubles> in) {
      return std::vector<Doubles>{folded(in[0], choice.axes, choice.keepdim, fold)};
    };
    test.differentiable = differentiable;
    test.linear = linear;
    CHECK(check(test) == "");
  }
  // Drawn: a shape, and some of its axes.
  for (int i = 0; i < 6; ++i) {
    Choice choice{draw_shape(random, 1 + static_cast<std::size_t>(i) % 4, 5), {}, i % 2 == 0};
    for (std::size_t d = 0; d < choice.shape.size(); ++d)
      if (random() % 2 == 0) choice.axes.push_back(static_cast<std::int64_t>(d));
    Case test;
    test.name = name + " over " + to_string(choice.axes) + " of " + to_string(choice.shape);
    test.inputs = {draw(random, choice.shape, 0.5, 2)};
    test.call = [&](std::span<const Tensor> in) {
      return std::vector<Tensor>{call(in[0], choice.axes, choice.keepdim)};
    };
    test.reference = [&](std::span<const Doubles> in) {
      return std::vector<Doubles>{folded(in[0], choice.axes, choice.keepdim, fold)};
    };
    test.differentiable = differentiable;
    test.linear = linear;
    CHECK(check(test) == "");
  }
  // Large enough to be cut: one long row, long columns, and many of both.
  for (const Choice& choice : std::vector<Choice>{
           {{100'003}, {}},
           {{20'011, 3}, {0}},
           {{3, 50'021}, {1}},
           {{4, 33, 700}, {0, 2}},
           {{700, 129}, {0}}}) {
    Case test;
    test.name = name + " of " + to_string(choice.shape);
    const double spread = name == "prod" ? 1e-4 : 1;
    test.inputs = {draw(random, choice.shape, 1 - spread, 1 + spread)};
    test.call = [&](std::span<const Tensor> in) {
      return std::vector<Tensor>{call(in[0], choice.axes, choice.keepdim)};
    };
    test.reference = [&](std::span<const Doubles> in) {
      return std::vector<Doubles>{folded(in[0], choice.axes, choice.keepdim, fold)};
    };
    test.differentiable = false;
    // The reference adds one by one, and errs by as many units; float32 is rounded once.
    test.dtypes = {DType::float32};
    test.ulp_max = 1;
    CHECK(check(test) == "");
  }
}

}  // namespace

TEST_CASE("sums, means and products conform", "[conformance]") {
  check_fold(
      "sum", [](auto& x, auto& axes, bool keep) { return sum(x, axes, keep); }, sum_of, true, true);
  check_fold(
      "mean",
      [](auto& x, auto& axes, bool keep) { return mean(x, axes, keep); },
      [](auto& x) { return sum_of(x) / static_cast<double>(x.size()); },
      true,
      true);
  check_fold(
      "prod", [](auto& x, auto& axes, bool keep) { return prod(x, axes, keep); }, product_of);
}

TEST_CASE("a product's gradient is right where factors are zero", "[conformance]") {
  for (const std::vector<double>& factors :
       std::vector<std::vector<double>>{{2, 0, 3}, {0, 0, 3}, {0, 0, 0}, {1.5, -2, 0.25}}) {
    Case test;
    test.name = "prod";
    test.inputs = {Input{{{3}, factors}}};
    test.call = [](std::span<const Tensor> in) { return std::vector<Tensor>{prod(in[0])}; };
    test.reference = [](std::span<const Doubles> in) {
      return std::vector<Doubles>{{{}, {product_of(in[0].data)}}};
    };
    test.twice = false;
    CHECK(check(test) == "");
  }
}

TEST_CASE("variances and deviations conform", "[conformance]") {
  for (const double correction : {0.0, 1.0}) {
    Generator random(3);
    for (const Choice& choice : choices) {
      if (elements_in(choice.shape) < 3 ||
          elements_in(choice.shape) ==
              elements_in(reduced_shape(
                  choice.shape, normalize_axes(choice.axes, choice.shape.size()), false)))
        continue;
      for (const bool root : {false, true}) {
        Case test;
        test.name = root ? "std" : "var";
        test.inputs = {draw(random, choice.shape)};
        test.call = [&](std::span<const Tensor> in) {
          return std::vector<Tensor>{
              root ? std_(in[0], choice.axes, correction, choice.keepdim)
                   : var(in[0], choice.axes, correction, choice.keepdim)};
        };
        test.reference = [&](std::span<const Doubles> in) {
          return std::vector<Doubles>{folded(in[0], choice.axes, choice.keepdim, [&](auto& x) {
            const double variance = variance_of(x, correction);
            return root ? std::sqrt(variance) : variance;
          })};
        };
        CHECK(check(test) == "");
      }
    }
  }
}

TEST_CASE("extremes conform", "[conformance]") {
  check_fold(
      "amax",
      [](auto& x, auto& axes, bool keep) { return amax(x, axes, keep); },
      [](auto& x) { return *std::max_element(x.begin(), x.end()); },
      true,
      true);
  check_fold(
      "amin",
      [](auto& x, auto& axes, bool keep) { return amin(x, axes, keep); },
      [](auto& x) { return *std::min_element(x.begin(), x.end()); },
      true,
      true);
  check_fold(
      "all",
      [](auto& x, auto& axes, bool keep) { return all(x > 0.6, axes, keep); },
      [](auto& x) { return *std::min_element(x.begin(), x.end()) > 0.6f ? 1.0 : 0.0; },
      false);
  check_fold(
      "any",
      [](auto& x, auto& axes, bool keep) { return any(x > 1.9, axes, keep); },
      [](auto& x) { return *std::max_element(x.begin(), x.end()) > 1.9f ? 1.0 : 0.0; },
      false);
}

TEST_CASE("chosen elements and their places conform", "[conformance]") {
  Generator random(11);
  for (const Choice& choice : choices) {
    if (choice.axes.size() != 1) continue;
    const std::int64_t axis = choice.axes[0];
    Case test;
    test.name = "max along " + std::to_string(axis) + " of " + to_string(choice.shape);
    test.inputs = {draw(random, choice.shape)};
    test.call = [&](std::span<const Tensor> in) {
      const ValuesIndices most = max(in[0], axis, choice.keepdim);
      const ValuesIndices least = min(in[0], axis, choice.keepdim);
      return std::vector<Tensor>{
          most.values,
          most.indices,
          argmax(in[0], axis, choice.keepdim),
          least.values,
          least.indices,
          argmin(in[0], axis, choice.keepdim)};
    };
    test.reference = [&](std::span<const Doubles> in) {
      const auto fold = [&](auto body) { return folded(in[0], choice.axes, choice.keepdim, body); };
      const Doubles most = fold([](auto& x) { return *std::max_element(x.begin(), x.end()); });
      const Doubles least = fold([](auto& x) { return *std::min_element(x.begin(), x.end()); });
      const Doubles most_at = fold([](auto& x) {
        return static_cast<double>(std::max_element(x.begin(), x.end()) - x.begin());
      });
      const Doubles least_at = fold([](auto& x) {
        return static_cast<double>(std::min_element(x.begin(), x.end()) - x.begin());
      });
      return std::vector<Doubles>{most, most_at, most_at, least, least_at, least_at};
    };
    test.ulp_max = 0;
    test.linear = true;
    CHECK(check(test) == "");
  }
}

TEST_CASE("integers and bools are summed as int64", "[conformance]") {
  Generator random(5);
  for (const DType dtype : {DType::int32, DType::int64, DType::uint8, DType::boolean}) {
    Case test;
    test.name = "sum of " + std::string(name_of(dtype));
    test.inputs = {draw_whole(random, {9, 31}, dtype, 0, dtype == DType::boolean ? 1 : 200)};
    test.call = [](std::span<const Tensor> in) {
      return std::vector<Tensor>{sum(in[0], 0), sum(in[0], 1), amax(in[0], Dims{1})};
    };
    test.reference = [](std::span<const Doubles> in) {
      return std::vector<Doubles>{
          folded(in[0], {0}, false, sum_of),
          folded(in[0], {1}, false, sum_of),
          folded(in[0], {1}, false, [](auto& x) { return *std::max_element(x.begin(), x.end()); })};
    };
    test.differentiable = false;
    test.dtypes = {DType::float32};
    test.ulp_max = 0;
    CHECK(check(test) == "");
  }
}
