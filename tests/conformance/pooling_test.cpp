#include "case.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>

using namespace troupe;
using namespace troupe::conformance;

namespace {

/// Distinct numbers in a random order: no maximum is near another, or 0, where no derivative
/// exists.
Input distinct(Generator& random, const Shape& shape) {
  Input input = draw(random, shape);
  for (std::int64_t i = 0; i < input.elements.size(); ++i)
    input.elements[i] = static_cast<float>(0.125 * static_cast<double>(i) - 2.0625);
  std::shuffle(input.elements.data.begin(), input.elements.data.end(), random);
  return input;
}

struct Window {
  std::int64_t begin, end, counted;
};

/// Applies `fold(elements, counted)` to the windows that `at(axis, place)` gives.
template <class At, class Fold>
Doubles folded(const Doubles& x, Shape out, const At& at, const Fold& fold) {
  Doubles y = zeros_of(out);
  const std::size_t r = out.size() - 2;
  for (std::int64_t o = 0; o < y.size(); ++o) {
    const std::int64_t plane = o / (out[r] * out[r + 1]);
    const Window rows = at(0, o / out[r + 1] % out[r]);
    const Window columns = at(1, o % out[r + 1]);
    std::vector<double> seen;
    for (std::int64_t i = rows.begin; i < rows.end; ++i)
      for (std::int64_t j = columns.begin; j < columns.end; ++j)
        seen.push_back(x[(plane * x.shape[r] + i) * x.shape[r + 1] + j]);
    y[o] = fold(seen, rows.counted * columns.counted);
  }
  return y;
}

double sum_of(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v;
  return sum;
}

}  // namespace

TEST_CASE("max_pool2d takes the largest of each window", "[conformance]") {
  Generator random(1);
  struct Choice {
    Shape x;
    Dims kernel, stride, padding;
    bool ceil_mode;
  };
  for (const Choice& choice : std::vector<Choice>{
           {{2, 2, 4, 6}, {2}, {}, {0}, false},
           {{1, 2, 5, 5}, {2}, {2}, {0}, false},
           {{2, 5, 4}, {3, 2}, {1, 2}, {1, 0}, false},
           {{1, 1, 5, 6}, {3}, {2}, {1}, true}}) {
    Case test{"max_pool2d " + to_string(choice.x), {distinct(random, choice.x)}};
    const Dims kernel = pair_of(choice.kernel);
    const Dims stride = choice.stride.empty() ? kernel : pair_of(choice.stride);
    const Dims padding = pair_of(choice.padding);
    const MaxPool2dRule rule{{}, kernel, stride, padding, {1, 1}, choice.ceil_mode};
    const auto reference = [=](const Doubles& x, double least) {
      const std::size_t r = choice.x.size() - 2;
      return std::vector{folded(
          x,
          rule.pooled({DType::float64, choice.x}),
          [&](std::size_t axis, std::int64_t place) {
            const std::int64_t begin = place * stride[axis] - padding[axis];
            return Window{
                std::max<std::int64_t>(begin, 0),
                std::min(begin + kernel[axis], choice.x[r + axis]),
                1};
          },
          [=](const std::vector<double>& seen, std::int64_t) {
            return std::max(*std::max_element(seen.begin(), seen.end()), least);
          })};
    };
    test.call = [choice](std::span<const Tensor> in) {
      return std::vector{
          max_pool2d(in[0], choice.kernel, choice.stride, choice.padding, {1}, choice.ceil_mode)};
    };
    test.reference = [reference](std::span<const Doubles> in) {
      return reference(in[0], -INFINITY);
    };
    test.ulp_max = 0;
    test.linear = true;
    CHECK(check(test) == "");

    // What the compiler of programs makes of it.
    for (const bool relu : {false, true})
      for (const bool places : {false, true}) {
        test.name = "max_pool2d " + to_string(choice.x) + (relu ? " with relu" : "") +
                    (places ? "" : " without places");
        test.call = [=](std::span<const Tensor> in) {
          if (!places) return std::vector{apply(MaxPool2dValues{rule, relu}, in[0])};
          const Operand x(in[0]);
          Tensor outputs[2];
          apply(make_op(MaxPool2d{rule, relu}), std::span<const Operand>(&x, 1), outputs);
          return std::vector{outputs[0]};
        };
        test.reference = [=](std::span<const Doubles> in) {
          return reference(in[0], relu ? 0 : -INFINITY);
        };
        CHECK(check(test) == "");
      }
  }
}

TEST_CASE("avg_pool2d takes the mean of each window", "[conformance]") {
  Generator random(2);
  for (const Shape& shape : {Shape{2, 2, 4, 6}, Shape{3, 5, 5}, Shape{1, 1, 4, 20}})
    for (const bool count_include_pad : {false, true})
      for (const std::int64_t divisor : {0, 3}) {
        const AvgPool2dRule rule{{}, {3, 4}, {2, 1}, {1, 2}, true, count_include_pad, divisor};
        Case test{"avg_pool2d " + to_string(shape), {draw(random, shape)}};
        test.call = [rule](std::span<const Tensor> in) {
          return std::vector{avg_pool2d(
              in[0],
              rule.kernel_size,
              rule.stride,
              rule.padding,
              rule.ceil_mode,
              rule.count_include_pad,
              rule.divisor_override)};
        };
        test.reference = [rule, shape](std::span<const Doubles> in) {
          const std::size_t r = shape.size() - 2;
          return std::vector{folded(
              in[0],
              rule.pooled({DType::float64, shape}),
              [&](std::size_t axis, std::int64_t place) {
                const std::int64_t size = shape[r + axis];
                const std::int64_t begin = place * rule.stride[axis] - rule.padding[axis];
                const std::int64_t end =
                    std::min(begin + rule.kernel_size[axis], size + rule.padding[axis]);
                Window window{std::max<std::int64_t>(begin, 0), std::min(end, size), 0};
                window.counted = rule.count_include_pad ? end - begin : window.end - window.begin;
                return window;
              },
              [&](const std::vector<double>& seen, std::int64_t counted) {
                return sum_of(seen) /
                       static_cast<double>(rule.divisor_override ? rule.divisor_override : counted);
              })};
        };
        test.scale = 4;
        test.linear = true;
        CHECK(check(test) == "");
      }
}

TEST_CASE("adaptive_avg_pool2d shares a plane out", "[conformance]") {
  Generator random(3);
  const std::vector<std::pair<Shape, Dims>> choices{
      {{2, 2, 5, 7}, {2, 3}}, {{1, 4, 17}, {1}}, {{1, 2, 3, 3}, {5, 2}}};
  for (const auto& [shape, size] : choices) {
    Case test{"adaptive_avg_pool2d " + to_string(shape), {draw(random, shape)}};
    test.call = [size = size](std::span<const Tensor> in) {
      return std::vector{adaptive_avg_pool2d(in[0], size)};
    };
    test.reference = [shape = shape, size = pair_of(size)](std::span<const Doubles> in) {
      Shape out = shape;
      const std::size_t r = shape.size() - 2;
      out[r] = size[0];
      out[r + 1] = size[1];
      return std::vector{folded(
          in[0],
          out,
          [&](std::size_t axis, std::int64_t place) {
            const std::int64_t whole = shape[r + axis];
            const std::int64_t begin = place * whole / size[axis];
            const std::int64_t end = ((place + 1) * whole + size[axis] - 1) / size[axis];
            return Window{begin, end, end - begin};
          },
          [](const std::vector<double>& seen, std::int64_t counted) {
            return sum_of(seen) / static_cast<double>(counted);
          })};
    };
    test.scale = 4;
    test.linear = true;
    CHECK(check(test) == "");
  }
}
