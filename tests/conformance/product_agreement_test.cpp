#include "both.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

// Goal: products and convolutions give on a GPU what they give on the CPU, at sizes and layouts
// that take every way through the kernels. Method: factors are small whole numbers, none of them
// zero, so that sums are exact in any order and the two must agree to the bit.

using namespace troupe;
using conformance::both;

namespace {

using Call = std::function<Tensor()>;

std::vector<double> result_on(Device& device, const Call& call) {
  Scope scope(both().system, device);
  const Tensor result = cast(call(), DType::float64);
  std::vector<double> elements(static_cast<std::size_t>(elements_in(result.shape())));
  result.download(DType::float64, std::as_writable_bytes(std::span<double>(elements)));
  return elements;
}

/// Empty, or which element differs and how.
std::string compare(const Call& call, bool rounded = false) {
  std::vector<double> want = result_on(both().cpu, call);
  if (rounded)
    for (double& x : want) x = std::nearbyint(x);
  const std::vector<double> got = result_on(both().gpu, call);
  if (want.size() != got.size()) return "another shape";
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!(want[i] == got[i]))
      return "element " + std::to_string(i) + " of " + std::to_string(want.size()) + " is " +
             std::to_string(got[i]) + ", not " + std::to_string(want[i]);
  if (const auto messages = test::validation_messages(both().gpu))
    return std::to_string(messages) + " validation messages; see the log";
  return {};
}

Tensor numbers(const Shape& shape, DType dtype = DType::float32, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<double> all(static_cast<std::size_t>(elements_in(shape)));
  for (double& x : all) {
    x = static_cast<double>(random() % 3 + 1);
    if (random() % 2) x = -x;
  }
  return cast(Tensor::copy_of<double>(all, shape), dtype);
}

constexpr DType floats[] = {DType::float32, DType::float64};

}  // namespace

TEST_CASE("matrix products give the CPU's results on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  // Rows, columns, depth: none, one, less than a tile, a tile, tiles and a rest; few sums of many.
  const std::vector<std::tuple<int, int, int>> sizes{
      {1, 1, 0},
      {3, 5, 0},
      {1, 1, 1},
      {1, 1, 5000},
      {1, 300, 70},
      {300, 1, 70},
      {7, 9, 3},
      {8, 32, 16},
      {64, 10, 128},
      {10, 64, 50},
      {2, 3, 4099},
      {33, 65, 1030},
      {64, 64, 64},
      {65, 129, 67},
      {200, 10, 300},
      {16, 16, 4096},
      {128, 130, 131}};
  for (const DType dtype : {DType::float32, DType::float64, DType::int32, DType::int64})
    for (const auto& [m, n, k] : sizes)
      for (const int turned : {0, 1, 2, 3}) {
        INFO(name_of(dtype) << " " << m << "×" << n << "×" << k << ", turned " << turned);
        CHECK(compare([&, m = m, n = n, k = k] {
                Tensor a = numbers(turned & 1 ? Shape{k, m} : Shape{m, k}, dtype, 1);
                Tensor b = numbers(turned & 2 ? Shape{n, k} : Shape{k, n}, dtype, 2);
                if (turned & 1) a = transpose(a, 0, 1);
                if (turned & 2) b = transpose(b, 0, 1);
                return matmul(a, b);
              }) == "");
      }
  // Large enough for the widest tiles.
  CHECK(compare([] { return matmul(numbers({520, 530}), numbers({530, 515})); }) == "");
}

TEST_CASE("batches of products give the CPU's results on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  const std::vector<std::pair<Shape, Shape>> shapes{
      {{3, 5, 7}, {7, 4}},
      {{3, 1, 7}, {7, 4}},
      {{7}, {2, 7, 4}},
      {{2, 3, 7}, {7}},
      {{2, 3, 50, 40}, {3, 40, 60}},
      {{2, 1, 50, 40}, {1, 3, 40, 60}},
      {{2, 1, 3, 1, 20, 32}, {1, 2, 1, 3, 32, 24}},
      {{2, 1, 3, 1, 2, 8, 8}, {1, 2, 1, 3, 1, 8, 8}},
      {{4, 0, 7}, {7, 4}},
      {{0, 3, 7}, {7, 4}}};
  for (const DType dtype : {DType::float32, DType::float64, DType::int64})
    for (const auto& [a, b] : shapes) {
      INFO(name_of(dtype) << " " << to_string(a) << " " << to_string(b));
      CHECK(compare([&, a = a, b = b] {
              return matmul(numbers(a, dtype, 1), numbers(b, dtype, 2));
            }) == "");
    }
  // As attention lays them: heads taken out of the last axis, and one head for several.
  CHECK(compare([] {
          const Tensor q = permute(numbers({2, 33, 4, 16}, DType::float32, 1), {0, 2, 1, 3});
          const Tensor k = permute(numbers({2, 35, 4, 16}, DType::float32, 2), {0, 2, 3, 1});
          return matmul(q, k);
        }) == "");
  CHECK(compare([] {
          const Tensor q = numbers({2, 4, 64, 32}, DType::float32, 1);
          return matmul(q, expand(numbers({2, 1, 32, 64}, DType::float32, 2), {2, 4, 32, 64}));
        }) == "");
}

TEST_CASE("linear gives the CPU's results on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  const std::vector<std::pair<Shape, int>> sizes{
      {{784}, 128},
      {{64, 784}, 128},
      {{64, 128}, 10},
      {{2, 3, 5, 7}, 4},
      {{1, 5000}, 3},
      {{500, 4}, 1},
      {{3, 0}, 5},
      {{130, 90}, 150},
      {{20, 4100}, 17},
      {{0, 4}, 3}};
  for (const DType dtype : floats)
    for (const auto& [x, out] : sizes)
      for (const bool biased : {false, true}) {
        INFO(name_of(dtype) << " " << to_string(x) << " to " << out << ", bias " << biased);
        CHECK(compare([&, x = x, out = out] {
                return linear(
                    numbers(x, dtype, 1),
                    numbers({out, x.back()}, dtype, 2),
                    biased ? numbers({out}, dtype, 3) : Tensor());
              }) == "");
      }
  // Rows that do not lie evenly.
  CHECK(compare([] {
          const Tensor x = transpose(numbers({6, 5, 7}), 0, 1);
          return linear(x, numbers({4, 7}, DType::float32, 2), numbers({4}, DType::float32, 3));
        }) == "");
}

TEST_CASE("convolutions give the CPU's results on a GPU", "[conformance][agreement]") {
  if (!test::on_vulkan()) return;
  struct Choice {
    Shape x, w;
    Conv2d op;
  };
  const std::vector<Choice> choices{
      {{8, 1, 28, 28}, {32, 1, 3, 3}, {}},
      {{5, 32, 13, 13}, {64, 32, 3, 3}, {}},
      {{3, 5, 9, 11}, {7, 5, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 1}},
      {{3, 6, 9, 11}, {9, 2, 3, 2}, {{}, {2, 3}, {2, 1}, {1, 2}, 3}},
      {{2, 40, 8, 8}, {40, 1, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 40}},
      {{2, 64, 7, 7}, {70, 64, 1, 1}, {}},
      {{2, 3, 33, 31}, {40, 3, 7, 7}, {{}, {2, 2}, {3, 3}, {1, 1}, 1}},
      {{1, 4, 5, 5}, {2, 4, 5, 5}, {}},
      {{2, 3, 6, 6}, {4, 3, 2, 2}, {{}, {3, 3}, {0, 0}, {1, 1}, 1}},
      {{40, 2, 20, 20}, {3, 2, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 1}},
      {{0, 3, 6, 6}, {4, 3, 2, 2}, {}},
      {{2, 0, 6, 6}, {4, 0, 2, 2}, {}}};
  for (const DType dtype : floats)
    for (const Choice& choice : choices) {
      const auto& [x, w, op] = choice;
      INFO(name_of(dtype) << " " << to_string(x) << " " << to_string(w));
      const Shape y{x[0], w[0], op.places(x, w, 0), op.places(x, w, 1)};
      // The CPU's tiles give whole numbers but nearly.
      const bool rounded = dtype == DType::float32 && x[1] >= 8 && w[2] == 3 && w[3] == 3;
      for (const bool biased : {false, true})
        CHECK(
            compare(
                [&] {
                  const Tensor bias = biased ? numbers({choice.w[0]}, dtype, 3) : Tensor();
                  return conv2d(
                      numbers(choice.x, dtype, 1),
                      numbers(choice.w, dtype, 2),
                      bias,
                      choice.op.stride,
                      choice.op.padding,
                      choice.op.dilation,
                      choice.op.groups);
                },
                rounded) == "");
      CHECK(
          compare(
              [&] {
                const Conv2d& f = choice.op;
                return apply(
                    Conv2dBackwardInput{{}, f.stride, f.padding, f.dilation, f.groups, choice.x},
                    numbers(y, dtype, 4),
                    numbers(choice.w, dtype, 2));
              },
              rounded) == "");
      CHECK(
          compare(
              [&] {
                const Conv2d& f = choice.op;
                return apply(
                    Conv2dBackwardWeight{{}, f.stride, f.padding, f.dilation, f.groups, choice.w},
                    numbers(y, dtype, 4),
                    numbers(choice.x, dtype, 1));
              },
              rounded) == "");
    }
}
