#include "op_check.hpp"

#include <troupe/tensor/ops/batch_norm.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

constexpr double eps = 1e-2;

struct Channel {
  double mean = 0;
  double variance = 0;
  double count = 0;
};

std::int64_t inner_of(const Shape& shape) {
  std::int64_t inner = 1;
  for (std::size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
  return inner;
}

std::vector<Channel> channels_of(const Sample& x) {
  const Shape& shape = x.meta.shape;
  std::vector<Channel> all(static_cast<std::size_t>(shape[1]));
  const auto at = [&](std::int64_t i) -> Channel& {
    return all[static_cast<std::size_t>(i / inner_of(shape) % shape[1])];
  };
  for (std::int64_t i = 0; i < x.meta.elements(); ++i) {
    at(i).mean += x[i];
    at(i).count += 1;
  }
  for (Channel& c : all) c.mean /= c.count;
  for (std::int64_t i = 0; i < x.meta.elements(); ++i)
    at(i).variance += std::pow(x[i] - at(i).mean, 2) / at(i).count;
  return all;
}

// Channels apart and adjacent, in number below and above a register, in more than one chunk.
const std::vector<Shape> shapes{
    {4, 3}, {70, 19}, {2, 3, 5}, {3, 40, 7, 9}, {2, 5, 60, 60}, {900, 33}};

}  // namespace

TEST_CASE("batch_norm's kernels match their definitions", "[cpu]") {
  std::mt19937_64 random(1);
  for (const Shape& shape : shapes)
    for (const bool affine : {false, true})
      for (const bool tracked : {false, true}) {
        CAPTURE(to_string(shape), affine, tracked);
        const Shape each{shape[1]};
        Samples in{draw_sample(random, shape)};
        for (int k = 0; k < (affine ? 2 : 0) + (tracked ? 2 : 0); ++k)
          in.push_back(draw_sample(random, each, 0.5, 1.5));
        const auto inner = inner_of(shape);
        CHECK(
            check_op(
                BatchNormTrain{{}, affine, tracked, 0.1, eps},
                in,
                [&](const Samples& x) {
                  const auto channels = channels_of(x[0]);
                  Sample y = x[0];
                  Sample statistics = sample_of({2, shape[1]});
                  Samples out;
                  for (std::int64_t c = 0; c < shape[1]; ++c) {
                    const Channel& channel = channels[static_cast<std::size_t>(c)];
                    statistics[c] = channel.mean;
                    statistics[shape[1] + c] = 1 / std::sqrt(channel.variance + eps);
                  }
                  for (std::int64_t i = 0; i < y.meta.elements(); ++i) {
                    const std::int64_t c = i / inner % shape[1];
                    y[i] = (y[i] - statistics[c]) * statistics[shape[1] + c];
                    if (affine) y[i] = y[i] * x[1][c] + x[2][c];
                  }
                  out = {y, statistics};
                  if (!tracked) return out;
                  const std::size_t first = affine ? 3 : 1;
                  Sample mean = x[first];
                  Sample variance = x[first + 1];
                  for (std::int64_t c = 0; c < shape[1]; ++c) {
                    const Channel& channel = channels[static_cast<std::size_t>(c)];
                    mean[c] = 0.9 * mean[c] + 0.1 * channel.mean;
                    variance[c] = 0.9 * variance[c] +
                                  0.1 * channel.variance * channel.count / (channel.count - 1);
                  }
                  out.push_back(mean);
                  out.push_back(variance);
                  return out;
                },
                {2e-5, 1e-12}) == "");
      }
}

TEST_CASE("batch_norm's gradients match their definitions", "[cpu]") {
  std::mt19937_64 random(2);
  for (const Shape& shape : shapes)
    for (const bool weighted : {false, true}) {
      CAPTURE(to_string(shape), weighted);
      const auto inner = inner_of(shape);
      const std::int64_t channels = shape[1];
      const double count = static_cast<double>(elements_in(shape) / channels);
      Samples in{
          draw_sample(random, shape),
          draw_sample(random, shape),
          draw_sample(random, {2, channels}, 0.5, 1.5)};
      if (weighted) in.push_back(draw_sample(random, {channels}));
      CHECK(
          check_op(
              BatchNormBackward{},
              in,
              [&](const Samples& x) {
                Sample dx = sample_of(shape);
                Sample dweight = sample_of({channels});
                Sample dbias = sample_of({channels});
                const auto channel = [&](std::int64_t i) { return i / inner % channels; };
                const auto normal = [&](std::int64_t i) {
                  return (x[1][i] - x[2][channel(i)]) * x[2][channels + channel(i)];
                };
                for (std::int64_t i = 0; i < elements_in(shape); ++i) {
                  dweight[channel(i)] += x[0][i] * normal(i);
                  dbias[channel(i)] += x[0][i];
                }
                for (std::int64_t i = 0; i < elements_in(shape); ++i) {
                  const std::int64_t c = channel(i);
                  dx[i] = (x[0][i] - dbias[c] / count - normal(i) * dweight[c] / count) *
                          x[2][channels + c] * (weighted ? x[3][c] : 1);
                }
                if (!weighted) return Samples{dx};
                return Samples{dx, dweight, dbias};
              },
              {5e-3, 1e-11}) == "");  // sums of thousands of terms that cancel
    }
}

TEST_CASE("batch_norm's evaluation matches its definition", "[cpu]") {
  std::mt19937_64 random(3);
  for (const Shape& shape : shapes)
    for (const bool affine : {false, true}) {
      CAPTURE(to_string(shape), affine);
      Samples in{draw_sample(random, shape)};
      for (int k = 0; k < (affine ? 4 : 2); ++k)
        in.push_back(draw_sample(random, {shape[1]}, 0.5, 1.5));
      CHECK(
          check_op(
              BatchNormEval{{}, eps},
              in,
              [&](const Samples& x) {
                Sample y = x[0];
                for (std::int64_t i = 0; i < y.meta.elements(); ++i) {
                  const std::int64_t c = i / inner_of(shape) % shape[1];
                  y[i] = (y[i] - x[1][c]) / std::sqrt(x[2][c] + eps);
                  if (affine) y[i] = y[i] * x[3][c] + x[4][c];
                }
                return Samples{y};
              },
              {1e-5, 1e-12}) == "");
    }
}

}  // namespace troupe::cpu::test
