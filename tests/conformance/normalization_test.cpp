#include "case.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <map>

using namespace troupe;
using namespace troupe::conformance;

namespace {

struct Statistics {
  double mean = 0;
  double variance = 0;  ///< divides by the count
  double count = 0;
};

/// Of the elements of each group, `group(i)` telling which element i belongs to.
std::map<std::int64_t, Statistics> statistics_of(
    const Doubles& x, const std::function<std::int64_t(std::int64_t)>& group) {
  std::map<std::int64_t, Statistics> all;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    Statistics& s = all[group(i)];
    s.mean += x[i];
    s.count += 1;
  }
  for (auto& [key, s] : all) s.mean /= s.count;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    Statistics& s = all[group(i)];
    s.variance += (x[i] - s.mean) * (x[i] - s.mean) / s.count;
  }
  return all;
}

constexpr double eps = 1e-2;

}  // namespace

TEST_CASE("layer_norm normalizes each row", "[conformance]") {
  Generator random(1);
  const std::vector<std::pair<Shape, std::size_t>> choices{
      {{3, 5}, 1}, {{2, 2, 3}, 2}, {{4}, 1}, {{2, 3, 9}, 1}};
  for (const auto& [shape, dims] : choices)
    for (const int parameters : {0, 1, 2}) {
      const Shape normalized(std::span<const std::int64_t>(shape.end() - dims, shape.end()));
      const std::int64_t length = elements_in(normalized);
      Case test{"layer_norm " + to_string(shape), {draw(random, shape)}};
      if (parameters > 0) test.inputs.push_back(draw(random, normalized));
      if (parameters > 1) test.inputs.push_back(draw(random, normalized));
      test.call = [normalized](std::span<const Tensor> in) {
        return std::vector{layer_norm(
            in[0],
            normalized,
            in.size() > 1 ? in[1] : Tensor(),
            in.size() > 2 ? in[2] : Tensor(),
            eps)};
      };
      test.reference = [length](std::span<const Doubles> in) {
        Doubles y = in[0];
        auto all = statistics_of(y, [&](std::int64_t i) { return i / length; });
        for (std::int64_t i = 0; i < y.size(); ++i) {
          const Statistics& s = all[i / length];
          y[i] = (in[0][i] - s.mean) / std::sqrt(s.variance + eps);
          if (in.size() > 1) y[i] *= in[1][i % length];
          if (in.size() > 2) y[i] += in[2][i % length];
        }
        return std::vector{y};
      };
      test.ulp_max = 16;
      test.scale = 4;
      CHECK(check(test) == "");
    }
}

TEST_CASE("rms_norm normalizes each row", "[conformance]") {
  Generator random(4);
  const std::vector<std::pair<Shape, std::size_t>> choices{
      {{3, 5}, 1}, {{2, 2, 3}, 2}, {{4}, 1}, {{2, 3, 9}, 1}};
  for (const auto& [shape, dims] : choices)
    for (const bool weighted : {false, true}) {
      const Shape normalized(std::span<const std::int64_t>(shape.end() - dims, shape.end()));
      const std::int64_t length = elements_in(normalized);
      Case test{"rms_norm " + to_string(shape), {draw(random, shape)}};
      if (weighted) test.inputs.push_back(draw(random, normalized));
      test.call = [normalized](std::span<const Tensor> in) {
        return std::vector{rms_norm(in[0], normalized, in.size() > 1 ? in[1] : Tensor(), eps)};
      };
      test.reference = [length](std::span<const Doubles> in) {
        Doubles y = in[0];
        for (std::int64_t row = 0; row < y.size(); row += length) {
          double square = 0;
          for (std::int64_t i = row; i < row + length; ++i)
            square += in[0][i] * in[0][i] / static_cast<double>(length);
          for (std::int64_t i = row; i < row + length; ++i)
            y[i] *= (in.size() > 1 ? in[1][i - row] : 1) / std::sqrt(square + eps);
        }
        return std::vector{y};
      };
      test.ulp_max = 16;
      test.scale = 4;
      CHECK(check(test) == "");
    }
}

TEST_CASE("batch_norm normalizes each channel and moves the statistics", "[conformance]") {
  Generator random(2);
  for (const Shape& shape : {Shape{4, 3}, Shape{2, 3, 4}, Shape{2, 2, 3, 2}, Shape{5, 17}})
    for (const bool affine : {false, true}) {
      const std::int64_t channels = shape[1];
      std::int64_t inner = 1;
      for (std::size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
      const Doubles old_mean = draw(random, {channels}).elements;
      const Doubles old_variance = draw(random, {channels}, 0.5, 2).elements;
      Case test{"batch_norm " + to_string(shape), {draw(random, shape)}};
      if (affine) {
        test.inputs.push_back(draw(random, {channels}));
        test.inputs.push_back(draw(random, {channels}));
      }
      test.call = [=](std::span<const Tensor> in) {
        const auto vector_of = [&](const Doubles& from) {
          return cast(
              Tensor::copy_of(std::span<const double>(from.data), from.shape), in[0].dtype());
        };
        const BatchNormResult result = batch_norm(
            in[0],
            vector_of(old_mean),
            vector_of(old_variance),
            affine ? in[1] : Tensor(),
            affine ? in[2] : Tensor(),
            true,
            0.25,
            eps);
        return std::vector{result.y, result.running_mean, result.running_var};
      };
      test.reference = [=](std::span<const Doubles> in) {
        Doubles y = in[0];
        Doubles mean = old_mean;
        Doubles variance = old_variance;
        const auto channel = [&](std::int64_t i) { return i / inner % channels; };
        auto all = statistics_of(y, channel);
        for (std::int64_t i = 0; i < y.size(); ++i) {
          const Statistics& s = all[channel(i)];
          y[i] = (in[0][i] - s.mean) / std::sqrt(s.variance + eps);
          if (affine) y[i] = y[i] * in[1][channel(i)] + in[2][channel(i)];
        }
        for (std::int64_t c = 0; c < channels; ++c) {
          const Statistics& s = all[c];
          mean[c] = 0.75 * mean[c] + 0.25 * s.mean;
          variance[c] = 0.75 * variance[c] + 0.25 * s.variance * s.count / (s.count - 1);
        }
        return std::vector{y, mean, variance};
      };
      test.ulp_max = 16;
      test.scale = 4;
      test.differentiable = false;  // the statistics are states: no gradient goes through them
      CHECK(check(test) == "");
      Case gradients = test;
      gradients.differentiable = true;
      gradients.call = [call = test.call](std::span<const Tensor> in) {
        return std::vector{call(in)[0]};
      };
      gradients.reference = [reference = test.reference](std::span<const Doubles> in) {
        return std::vector{reference(in)[0]};
      };
      CHECK(check(gradients) == "");
    }
}

TEST_CASE("batch_norm uses the running statistics outside of training", "[conformance]") {
  Generator random(3);
  for (const Shape& shape : {Shape{4, 3}, Shape{2, 3, 2, 2}})
    for (const bool affine : {false, true}) {
      std::int64_t inner = 1;
      for (std::size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
      const Doubles mean = draw(random, {3}).elements;
      const Doubles variance = draw(random, {3}, 0.5, 2).elements;
      Case test{"batch_norm in evaluation " + to_string(shape), {draw(random, shape)}};
      if (affine) {
        test.inputs.push_back(draw(random, {3}));
        test.inputs.push_back(draw(random, {3}));
      }
      test.call = [=](std::span<const Tensor> in) {
        const auto vector_of = [&](const Doubles& from) {
          return cast(
              Tensor::copy_of(std::span<const double>(from.data), from.shape), in[0].dtype());
        };
        return std::vector{batch_norm(
                               in[0],
                               vector_of(mean),
                               vector_of(variance),
                               affine ? in[1] : Tensor(),
                               affine ? in[2] : Tensor(),
                               false,
                               0.1,
                               eps)
                               .y};
      };
      test.reference = [=](std::span<const Doubles> in) {
        Doubles y = in[0];
        for (std::int64_t i = 0; i < y.size(); ++i) {
          const std::int64_t c = i / inner % 3;
          y[i] = (in[0][i] - mean[c]) / std::sqrt(variance[c] + eps);
          if (affine) y[i] = y[i] * in[1][c] + in[2][c];
        }
        return std::vector{y};
      };
      test.ulp_max = 16;
      test.scale = 4;
      test.linear = !affine;
      CHECK(check(test) == "");
    }
}
