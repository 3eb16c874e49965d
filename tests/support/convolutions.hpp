#pragma once

#include "run_plan.hpp"
#include "segment.hpp"

#include <troupe/tensor/shape.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

/// Convolutions that kernels are tried on, and the products that each of their results adds up.
namespace troupe::cpu::test {

using Random = std::mt19937_64;

inline std::int64_t draw(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

/// A convolution's shapes and attributes.
struct Geometry {
  std::int64_t images = 1, groups = 1, in = 1, out = 1;  ///< channels in a group
  std::int64_t height = 1, width = 1, taps_y = 1, taps_x = 1;
  Dims stride{1, 1}, padding{0, 0}, dilation{1, 1};

  [[nodiscard]] Shape x() const { return {images, groups * in, height, width}; }
  [[nodiscard]] Shape weight() const { return {groups * out, in, taps_y, taps_x}; }
  [[nodiscard]] Shape y() const {
    return {images, groups * out, places(height, taps_y, 0), places(width, taps_x, 1)};
  }
  [[nodiscard]] std::int64_t places(std::int64_t size, std::int64_t taps, std::size_t axis) const {
    return (size + 2 * padding[axis] - dilation[axis] * (taps - 1) - 1) / stride[axis] + 1;
  }
  [[nodiscard]] std::string text() const {
    return to_string(x()) + " * " + to_string(weight()) + " stride " + to_string(stride) +
           " padding " + to_string(padding) + " dilation " + to_string(dilation);
  }
};

inline Geometry draw_geometry(Random& random) {
  for (;;) {
    Geometry g;
    g.images = draw(random, 1, 4);
    g.groups = draw(random, 0, 2) ? 1 : draw(random, 1, 4);
    g.in = draw(random, 0, 2) ? draw(random, 1, 20) : draw(random, 1, 4);
    g.out = draw(random, 0, 2) ? draw(random, 1, 20) : draw(random, 1, 4);
    g.height = draw(random, 1, 20);
    g.width = draw(random, 0, 3) ? draw(random, 1, 20) : draw(random, 1, 80);
    g.taps_y = draw(random, 1, 5);
    g.taps_x = draw(random, 1, 5);
    for (std::size_t axis = 0; axis < 2; ++axis) {
      g.stride[axis] = draw(random, 0, 1) ? 1 : draw(random, 1, 3);
      g.padding[axis] = draw(random, 0, 3);
      g.dilation[axis] = draw(random, 0, 2) ? 1 : draw(random, 1, 3);
    }
    const bool fits = g.height + 2 * g.padding[0] > g.dilation[0] * (g.taps_y - 1) &&
                      g.width + 2 * g.padding[1] > g.dilation[1] * (g.taps_x - 1);
    if (fits) return g;
  }
}

/// Calls `visit(y, x, weight)` with the row-major indices of each product in the sum.
template <class Visit>
void for_each_product(const Geometry& g, Visit&& visit) {
  const Shape y = g.y();
  for (std::int64_t n = 0; n < g.images; ++n)
    for (std::int64_t o = 0; o < y[1]; ++o)
      for (std::int64_t i = 0; i < y[2]; ++i)
        for (std::int64_t j = 0; j < y[3]; ++j)
          for (std::int64_t c = 0; c < g.in; ++c)
            for (std::int64_t k = 0; k < g.taps_y; ++k)
              for (std::int64_t l = 0; l < g.taps_x; ++l) {
                const std::int64_t row = i * g.stride[0] + k * g.dilation[0] - g.padding[0];
                const std::int64_t column = j * g.stride[1] + l * g.dilation[1] - g.padding[1];
                if (row < 0 || row >= g.height || column < 0 || column >= g.width) continue;
                const std::int64_t channel = o / g.out * g.in + c;
                visit(
                    ((n * y[1] + o) * y[2] + i) * y[3] + j,
                    ((n * g.groups * g.in + channel) * g.height + row) * g.width + column,
                    ((o * g.in + c) * g.taps_y + k) * g.taps_x + l);
              }
}

/// What a segment was told and what it saw.
template <class T>
struct Told {
  const T* result;
  std::vector<int> times;
  std::vector<T> seen;
};

/// Runs a kernel that ends with a segment: which elements of its result that was handed, how often
/// and as what.
template <class T>
Told<T> told_of(const NamedPlan& kernel, KernelCall call, const HostTensor<T>& result) {
  const auto size = static_cast<std::size_t>(result.view.elements());
  Told<T> told{result.data.data(), std::vector<int>(size), std::vector<T>(size)};
  const auto segment = std::make_unique<SegmentCall>();
  segment->operands[0].data = reinterpret_cast<std::byte*>(&told);
  call.segment = segment.get();
  call.run_segment = [](const SegmentCall& of, std::int64_t begin, std::int64_t end) noexcept {
    auto& told = *reinterpret_cast<Told<T>*>(of.operands[0].data);
    for (std::int64_t i = begin; i < end; ++i) {
      ++told.times[static_cast<std::size_t>(i)];
      told.seen[static_cast<std::size_t>(i)] = told.result[i];
    }
  };
  Plan plan;
  kernel.plan(call, plan);
  REQUIRE(plan.ends_with_segment);
  run_plan(call, plan, 5);
  return told;
}

}  // namespace troupe::cpu::test
