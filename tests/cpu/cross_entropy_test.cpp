#include "op_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

/// The loss of each sample, its divisor and gradient by the formulas in CrossEntropyRule, in
/// double.
struct Reference {
  Sample loss, statistics, divisor, gradient, curvature, along;

  /// `x, target, [weight]` begin at `first`; before them dloss, before that the direction.
  Reference(const CrossEntropyRule& rule, const Samples& in, std::size_t first) {
    const Sample& x = in[first];
    const Sample& target = in[first + 1];
    const std::size_t weight_at = first == 0 ? 2 : first + 4;
    const Shape shape = x.meta.shape;
    const std::size_t axis = CrossEntropyRule::class_axis(shape);
    const std::int64_t classes = shape[axis];
    const std::int64_t inner = contiguous_strides(shape)[axis];
    const Shape samples = CrossEntropyRule::samples(shape);
    const std::int64_t count = elements_in(samples);
    const bool indices = is_integer(target.meta.dtype);
    loss = sample_of(samples);
    statistics = sample_of(CrossEntropyRule::statistics(shape));
    divisor = sample_of({});
    gradient = sample_of(shape);
    curvature = sample_of(shape);
    along = sample_of(samples);
    const auto weight = [&](std::int64_t c) {
      return in.size() > weight_at ? in[weight_at][c] : 1.0;
    };
    std::vector<double> p(static_cast<std::size_t>(classes));
    std::vector<double> wanted(static_cast<std::size_t>(classes));
    for (int pass = 0; pass < 2; ++pass) {
      const double mean = divisor[0];
      divisor[0] = 0;
      for (std::int64_t n = 0; n < count; ++n) {
        const std::int64_t base = n / inner * classes * inner + n % inner;
        const auto at = [&](std::int64_t c) { return base + c * inner; };
        double most = -INFINITY;
        for (std::int64_t c = 0; c < classes; ++c) most = std::max(most, x[at(c)]);
        double sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(x[at(c)] - most);
        statistics[n] = most;
        statistics[count + n] = std::log(sum);
        const bool ignored = indices && static_cast<std::int64_t>(target[n]) == rule.ignore_index;
        double total = 0;
        loss[n] = 0;
        double dloss = 1;
        if (first > 0)
          dloss = in[first - 1][rule.reduction == Reduction::none ? n : 0] /
                  (rule.reduction == Reduction::mean ? mean : 1);
        for (std::int64_t c = 0; c < classes; ++c) {
          const double q = indices ? (static_cast<std::int64_t>(target[n]) == c) : target[at(c)];
          wanted[static_cast<std::size_t>(c)] =
              ignored ? 0
                      : weight(c) * (q * (1 - rule.label_smoothing) +
                                     rule.label_smoothing / static_cast<double>(classes));
          total += wanted[static_cast<std::size_t>(c)];
          p[static_cast<std::size_t>(c)] = std::exp(x[at(c)] - most) / sum;
          loss[n] -= wanted[static_cast<std::size_t>(c)] * (x[at(c)] - most - std::log(sum));
        }
        if (!ignored) divisor[0] += indices ? weight(static_cast<std::int64_t>(target[n])) : 1;
        double mean_direction = 0;
        along[n] = 0;
        for (std::size_t c = 0; c < p.size(); ++c) {
          const auto place = at(static_cast<std::int64_t>(c));
          gradient[place] = dloss * (total * p[c] - wanted[c]);
          if (first < 2) continue;
          mean_direction += p[c] * in[0][place];
          along[n] += in[0][place] * (total * p[c] - wanted[c]);
        }
        if (first == 2)
          for (std::size_t c = 0; c < p.size(); ++c) {
            const auto place = at(static_cast<std::int64_t>(c));
            curvature[place] = ignored ? 0 : dloss * total * p[c] * (in[0][place] - mean_direction);
          }
      }
    }
    loss = reduced(rule.reduction, loss);
    along = reduced(rule.reduction, along);
  }

  [[nodiscard]] Sample reduced(Reduction reduction, const Sample& each) const {
    if (reduction == Reduction::none) return each;
    Sample one = sample_of({});
    for (const double value : each.data) one[0] += value;
    if (reduction == Reduction::mean) one[0] /= divisor[0];
    return one;
  }
};

/// Runs the three ops on one problem.
void check_all(const CrossEntropyRule& rule, Samples in) {
  std::mt19937_64 random(5);
  const Bounds bounds{1e-5, 1e-12};
  CHECK(
      check_op(
          CrossEntropy{{rule}},
          in,
          [&](const Samples& x) {
            const Reference r(rule, x, 0);
            return Samples{r.loss, r.statistics, r.divisor};
          },
          bounds) == "");
  const Reference forward(rule, in, 0);
  Samples backward{
      draw_sample(random, forward.loss.meta.shape),
      in[0],
      in[1],
      forward.statistics,
      forward.divisor};
  if (in.size() == 3) backward.push_back(in[2]);
  CHECK(
      check_op(
          CrossEntropyBackward{{rule}},
          backward,
          [&](const Samples& x) { return Samples{Reference(rule, x, 1).gradient}; },
          bounds) == "");
  Samples curvature = backward;
  curvature.insert(curvature.begin(), draw_sample(random, in[0].meta.shape));
  CHECK(
      check_op(
          CrossEntropyCurvature{{rule}},
          curvature,
          [&](const Samples& x) {
            const Reference r(rule, x, 2);
            return Samples{r.curvature, r.along};
          },
          bounds) == "");
}

}  // namespace

TEST_CASE("cross entropy, gradient and curvature match their definitions", "[cpu]") {
  std::mt19937_64 random(3);
  for (const Shape& shape :
       {Shape{5}, Shape{128, 10}, Shape{3, 4}, Shape{700, 37}, Shape{2, 3, 5}, Shape{3, 10, 4, 9}})
    for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum})
      for (const bool probabilities : {false, true})
        for (const bool weighted : {false, true})
          for (const double smoothing : {0.0, 0.1}) {
            CAPTURE(to_string(shape), int(reduction), probabilities, weighted, smoothing);
            const std::int64_t classes = shape[CrossEntropyRule::class_axis(shape)];
            CrossEntropyRule rule{{}, reduction, 1, smoothing};
            Samples in{draw_sample(random, shape, -5, 5)};
            if (probabilities)
              in.push_back(draw_sample(random, shape, 0, 1));
            else
              in.push_back(draw_sample(
                  random,
                  CrossEntropyRule::samples(shape),
                  0,
                  static_cast<double>(classes),
                  weighted ? DType::int32 : DType::int64));
            if (!probabilities && shape.size() == 1) in[1][0] = 2;
            if (weighted) in.push_back(draw_sample(random, {classes}, 0.5, 2));
            check_all(rule, in);
          }
}

TEST_CASE("a class outside the range is refused with its place", "[cpu]") {
  const Samples in{
      {{DType::float64, {2, 3}}, std::vector<double>(6)}, {{DType::int64, {2}}, {1, 3}}};
  for (const NamedPlan& kernel : kernels<CrossEntropy>()) {
    try {
      (void)run_op(kernel.plan, CrossEntropy{}, in);
      FAIL("class 3 of 3 was taken");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(error.message() == "the target's class at [1] is 3, but must be in [0, 3)");
    }
  }
}

TEST_CASE("a mean over ignored samples only is NaN, and its gradient 0", "[cpu]") {
  const Samples in{
      {{DType::float64, {2, 3}}, std::vector<double>(6)}, {{DType::int64, {2}}, {-100, -100}}};
  for (const NamedPlan& kernel : kernels<CrossEntropy>())
    CHECK(std::isnan(run_op(kernel.plan, CrossEntropy{}, in)[0][0]));
  Samples backward{sample_of({}), in[0], in[1], sample_of({2, 2}), sample_of({})};
  backward[0][0] = 1;
  for (const NamedPlan& kernel : kernels<CrossEntropyBackward>())
    CHECK(run_op(kernel.plan, CrossEntropyBackward{}, backward)[0].data == std::vector<double>(6));
}

}  // namespace troupe::cpu::test
