#include "case.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>

using namespace troupe;
using namespace troupe::conformance;

namespace {

/// Calls `line(places)` with the places of the elements of each line along an axis, in the lines'
/// order.
void for_lines(
    const Shape& shape,
    std::size_t axis,
    const std::function<void(const std::vector<std::int64_t>&)>& line) {
  const std::int64_t inner = contiguous_strides(shape)[axis];
  for (std::int64_t first = 0; first < elements_in(shape); ++first) {
    if (first / inner % shape[axis] != 0) continue;
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < shape[axis]; ++i) places.push_back(first + i * inner);
    line(places);
  }
}

Doubles log_softmax_of(const Doubles& x, std::size_t axis) {
  Doubles y = x;
  for_lines(x.shape, axis, [&](const std::vector<std::int64_t>& places) {
    double most = -INFINITY;
    for (const auto i : places) most = std::max(most, x[i]);
    double sum = 0;
    for (const auto i : places) sum += std::exp(x[i] - most);
    for (const auto i : places) y[i] = x[i] - most - std::log(sum);
  });
  return y;
}

struct Choice {
  Shape shape;
  Reduction reduction = Reduction::mean;
  bool probabilities = false;
  bool weighted = false;
  double smoothing = 0;
  std::int64_t ignore = -100;
};

/// −Σ w·q·log p, by the definition in CrossEntropyRule.
Doubles loss_of(std::span<const Doubles> in, const Choice& choice, const Doubles& log_p) {
  const std::size_t axis = choice.shape.size() == 1 ? 0 : 1;
  const std::int64_t classes = choice.shape[axis];
  Doubles each = zeros_of(CrossEntropyRule::samples(choice.shape));
  double divisor = 0;
  std::int64_t n = 0;
  for_lines(choice.shape, axis, [&](const std::vector<std::int64_t>& places) {
    const bool ignored =
        !choice.probabilities && static_cast<std::int64_t>(in[1][n]) == choice.ignore;
    double weight_here = choice.probabilities ? 1 : 0;
    for (std::int64_t c = 0; c < classes && !ignored; ++c) {
      const double w = in.size() > 2 ? in[2][c] : 1;
      const auto place = places[static_cast<std::size_t>(c)];
      const bool here = !choice.probabilities && static_cast<std::int64_t>(in[1][n]) == c;
      double q = choice.probabilities ? in[1][place] : here ? 1 : 0;
      if (here) weight_here = w;
      q = q * (1 - choice.smoothing) + choice.smoothing / static_cast<double>(classes);
      each[n] -= w * q * log_p[place];
    }
    divisor += weight_here;
    ++n;
  });
  if (choice.reduction == Reduction::none) return each;
  Doubles total = zeros_of({});
  for (const double x : each.data) total[0] += x;
  if (choice.reduction == Reduction::mean) total[0] /= divisor;
  return total;
}

Input targets(Generator& random, const Choice& choice) {
  const std::size_t axis = choice.shape.size() == 1 ? 0 : 1;
  if (choice.probabilities) return draw(random, choice.shape, 0.1, 0.5);
  return draw_whole(
      random, CrossEntropyRule::samples(choice.shape), DType::int64, 0, choice.shape[axis] - 1);
}

}  // namespace

TEST_CASE("softmax and log_softmax match their definitions", "[conformance]") {
  Generator random(1);
  std::vector<std::pair<Shape, std::int64_t>> choices{
      {{5}, 0}, {{3, 4}, -1}, {{3, 4}, 0}, {{2, 3, 2}, 1}, {{1, 1}, 1}};
  for (std::size_t rank = 1; rank <= 4; ++rank)
    choices.emplace_back(draw_shape(random, rank, 5), static_cast<std::int64_t>(random() % rank));
  for (const auto& [shape, dim] : choices)
    for (const bool logarithm : {false, true}) {
      const std::size_t axis = normalize_axis(dim, shape.size());
      Case test{
          (logarithm ? "log_softmax " : "softmax ") + to_string(shape), {draw(random, shape)}};
      test.call = [dim = dim, logarithm](std::span<const Tensor> in) {
        return std::vector{logarithm ? log_softmax(in[0], dim) : softmax(in[0], dim)};
      };
      test.reference = [axis, logarithm](std::span<const Doubles> in) {
        Doubles y = log_softmax_of(in[0], axis);
        if (!logarithm)
          for (double& x : y.data) x = std::exp(x);
        return std::vector{y};
      };
      test.ulp_max = 8;
      test.scale = 1;
      CHECK(check(test) == "");
    }
}

TEST_CASE("cross_entropy matches its definition in all its ways", "[conformance]") {
  Generator random(2);
  const std::vector<Choice> choices{
      {{4}},
      {{3, 4}},
      {{3, 4}, Reduction::sum, false, true},
      {{4, 3}, Reduction::mean, false, true, 0.1, 1},
      {{2, 3, 2}, Reduction::none, false, false, 0.2},
      {{2, 3, 2}, Reduction::mean, false, true, 0, 0},
  };
  for (const Choice& choice : choices) {
    Case test{"cross_entropy " + to_string(choice.shape)};
    test.inputs = {draw(random, choice.shape, -3, 3), targets(random, choice)};
    // The weight of a class is not differentiated: it stays a constant beside the inputs.
    Doubles weight =
        draw(random, {choice.shape[choice.shape.size() == 1 ? 0 : 1]}, 0.5, 2).elements;
    test.call = [choice, weight](std::span<const Tensor> in) {
      Tensor w;
      if (choice.weighted)
        w = cast(
            Tensor::copy_of(std::span<const double>(weight.data), weight.shape), in[0].dtype());
      return std::vector{
          cross_entropy(in[0], in[1], w, choice.ignore, choice.reduction, choice.smoothing)};
    };
    test.reference = [choice, weight](std::span<const Doubles> in) {
      std::vector<Doubles> all(in.begin(), in.end());
      if (choice.weighted) all.push_back(weight);
      return std::vector{
          loss_of(all, choice, log_softmax_of(in[0], choice.shape.size() == 1 ? 0 : 1))};
    };
    test.ulp_max = 8;
    test.scale = 4;
    CHECK(check(test) == "");
  }
}

TEST_CASE("cross_entropy takes probabilities", "[conformance]") {
  Generator random(3);
  for (const Choice& choice : std::vector<Choice>{
           {{3, 4}, Reduction::mean, true}, {{2, 3, 2}, Reduction::none, true, false, 0.1}}) {
    Case test{"cross_entropy of probabilities " + to_string(choice.shape)};
    test.inputs = {draw(random, choice.shape, -3, 3), targets(random, choice)};
    test.call = [choice](std::span<const Tensor> in) {
      return std::vector{cross_entropy(in[0], in[1], {}, -100, choice.reduction, choice.smoothing)};
    };
    test.reference = [choice](std::span<const Doubles> in) {
      return std::vector{loss_of(in, choice, log_softmax_of(in[0], 1))};
    };
    test.ulp_max = 8;
    test.scale = 4;
    test.twice = false;  // by the probabilities it is refused
    CHECK(check(test) == "");
  }
}

TEST_CASE("nll_loss picks the class's log-probability", "[conformance]") {
  Generator random(4);
  for (const Choice& choice : std::vector<Choice>{
           {{4}},
           {{5, 3}, Reduction::mean, false, true, 0, 1},
           {{2, 3, 2}, Reduction::none},
           {{2, 3, 2}, Reduction::sum, false, true}}) {
    Case test{"nll_loss " + to_string(choice.shape)};
    test.inputs = {draw(random, choice.shape, -3, 0), targets(random, choice)};
    Doubles weight =
        draw(random, {choice.shape[choice.shape.size() == 1 ? 0 : 1]}, 0.5, 2).elements;
    test.call = [choice, weight](std::span<const Tensor> in) {
      Tensor w;
      if (choice.weighted)
        w = cast(
            Tensor::copy_of(std::span<const double>(weight.data), weight.shape), in[0].dtype());
      return std::vector{nll_loss(in[0], in[1], w, choice.ignore, choice.reduction)};
    };
    test.reference = [choice, weight](std::span<const Doubles> in) {
      std::vector<Doubles> all(in.begin(), in.end());
      if (choice.weighted) all.push_back(weight);
      return std::vector{loss_of(all, choice, in[0])};
    };
    test.scale = 4;
    test.linear = true;
    CHECK(check(test) == "");
  }
}

TEST_CASE("mse, l1 and binary cross entropy match their definitions", "[conformance]") {
  Generator random(5);
  struct Loss {
    std::string name;
    std::function<Tensor(const Tensor&, const Tensor&, Reduction)> call;
    double (*each)(double x, double t);
    double gap;
  };
  const std::vector<Loss> losses{
      {"mse_loss",
       [](const Tensor& x, const Tensor& t, Reduction r) { return mse_loss(x, t, r); },
       [](double x, double t) { return (x - t) * (x - t); },
       0},
      {"l1_loss",
       [](const Tensor& x, const Tensor& t, Reduction r) { return l1_loss(x, t, r); },
       [](double x, double t) { return std::abs(x - t); },
       0.1},
      {"binary_cross_entropy_with_logits",
       [](const Tensor& x, const Tensor& t, Reduction r) {
         return binary_cross_entropy_with_logits(x, t, {}, r);
       },
       [](double x, double t) { return (1 - t) * x + std::log1p(std::exp(-x)); },
       0}};
  for (const Loss& loss : losses)
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
      Case test{
          loss.name, {draw(random, {3, 4}, -2, 2, loss.gap, 0.5), draw(random, {3, 4}, 0, 1)}};
      if (loss.gap > 0)
        for (std::int64_t i = 0; i < 12; ++i) test.inputs[1].elements[i] = 0.5;
      test.call = [&loss, reduction](std::span<const Tensor> in) {
        return std::vector{loss.call(in[0], in[1], reduction)};
      };
      test.reference = [&loss, reduction](std::span<const Doubles> in) {
        Doubles each = in[0];
        for (std::int64_t i = 0; i < each.size(); ++i) each[i] = loss.each(in[0][i], in[1][i]);
        if (reduction == Reduction::none) return std::vector{each};
        Doubles total = zeros_of({});
        for (const double x : each.data) total[0] += x;
        if (reduction == Reduction::mean) total[0] /= 12;
        return std::vector{total};
      };
      test.ulp_max = 8;
      test.scale = 4;
      CHECK(check(test) == "");
    }
}

TEST_CASE("binary cross entropy weighs the positive class", "[conformance]") {
  Generator random(6);
  Case test{
      "pos_weight", {draw(random, {3, 2}), draw(random, {3, 2}, 0, 1), draw(random, {2}, 1, 3)}};
  test.call = [](std::span<const Tensor> in) {
    return std::vector{binary_cross_entropy_with_logits(in[0], in[1], {}, Reduction::none, in[2])};
  };
  test.reference = [](std::span<const Doubles> in) {
    Doubles y = in[0];
    for (std::int64_t i = 0; i < y.size(); ++i) {
      const double t = in[1][i];
      y[i] = in[2][i % 2] * t * std::log1p(std::exp(-in[0][i])) +
             (1 - t) * std::log1p(std::exp(in[0][i]));
    }
    return std::vector{y};
  };
  test.ulp_max = 8;
  test.scale = 2;
  CHECK(check(test) == "");
}
