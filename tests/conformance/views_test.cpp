#include "case.hpp"

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <limits>

using namespace troupe;
using namespace troupe::conformance;

namespace {

/// A view's output is made of the input's elements: `from(index)` gives where each comes from.
void check_view(
    std::string name,
    const Shape& input,
    const Shape& output,
    const std::function<Tensor(const Tensor&)>& call,
    const std::function<Dims(const Dims&)>& from) {
  Generator random(name.size() * 7919 + static_cast<unsigned char>(name[0]));
  Case test;
  test.name = std::move(name);
  test.inputs = {draw(random, input)};
  // Multiplied by itself, so that second derivatives pass through the view too.
  test.call = [&](std::span<const Tensor> in) {
    const Tensor y = call(in[0]);
    return std::vector<Tensor>{y * y};
  };
  test.reference = [&](std::span<const Doubles> in) {
    Doubles out = zeros_of(output);
    for (std::int64_t i = 0; i < out.size(); ++i) {
      Dims index = output;
      std::int64_t rest = i;
      for (std::size_t d = output.size(); d-- > 0;) {
        index[d] = rest % output[d];
        rest /= output[d];
      }
      const Dims source = from(index);
      std::int64_t at = 0;
      for (std::size_t d = 0; d < input.size(); ++d) at = at * input[d] + source[d];
      out[i] = in[0][at] * in[0][at];
    }
    return std::vector<Doubles>{out};
  };
  test.ulp_max = 0.5;
  CHECK(check(test) == "");
}

Dims unraveled(std::int64_t place, const Shape& shape) {
  Dims index = shape;
  for (std::size_t d = shape.size(); d-- > 0;) {
    index[d] = place % shape[d];
    place /= shape[d];
  }
  return index;
}
std::int64_t raveled(const Dims& index, const Shape& shape) {
  std::int64_t place = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) place = place * shape[d] + index[d];
  return place;
}

}  // namespace

TEST_CASE("reshapes conform", "[conformance]") {
  const auto to = [](const Shape& from, const Shape& shape) {
    check_view(
        "reshape " + to_string(from) + " to " + to_string(shape),
        from,
        shape,
        [&](const Tensor& x) { return reshape(x, shape); },
        [&](const Dims& index) { return unraveled(raveled(index, shape), from); });
  };
  to({4, 6}, {24});
  to({4, 6}, {2, 2, 3, 2});
  to({2, 3, 4}, {6, 4});
  to({2, 3, 4}, {2, 12});
  to({6}, {1, 6, 1});
  to({1}, {});
  check_view(
      "flatten",
      {2, 3, 4},
      {2, 12},
      [](const Tensor& x) { return flatten(x, 1); },
      [](const Dims& i) {
        return Dims{i[0], i[1] / 4, i[1] % 4};
      });
  check_view(
      "squeeze",
      {2, 1, 3, 1},
      {2, 3},
      [](const Tensor& x) { return squeeze(x); },
      [](const Dims& i) {
        return Dims{i[0], 0, i[1], 0};
      });
  check_view(
      "unsqueeze",
      {2, 3},
      {2, 1, 3},
      [](const Tensor& x) { return unsqueeze(x, -2); },
      [](const Dims& i) {
        return Dims{i[0], i[2]};
      });
}

TEST_CASE("permutations conform", "[conformance]") {
  check_view(
      "transpose",
      {3, 5},
      {5, 3},
      [](const Tensor& x) { return transpose(x, 0, 1); },
      [](const Dims& i) {
        return Dims{i[1], i[0]};
      });
  check_view(
      "t",
      {3, 5},
      {5, 3},
      [](const Tensor& x) { return t(x); },
      [](const Dims& i) {
        return Dims{i[1], i[0]};
      });
  check_view(
      "permute",
      {2, 3, 4},
      {4, 2, 3},
      [](const Tensor& x) {
        return permute(x, {-1, 0, 1});
      },
      [](const Dims& i) {
        return Dims{i[1], i[2], i[0]};
      });
  // The transposed layout does not allow a view: the engine must copy first.
  check_view(
      "reshape of a transpose",
      {4, 6},
      {8, 3},
      [](const Tensor& x) {
        return reshape(transpose(x, 0, 1), {8, 3});
      },
      [](const Dims& i) {
        const Dims turned = unraveled(raveled(i, {8, 3}), {6, 4});
        return Dims{turned[1], turned[0]};
      });
  check_view(
      "contiguous",
      {5, 7},
      {7, 5},
      [](const Tensor& x) { return contiguous(transpose(x, 0, 1)); },
      [](const Dims& i) {
        return Dims{i[1], i[0]};
      });
}

TEST_CASE("expansions conform", "[conformance]") {
  check_view(
      "expand",
      {3, 1},
      {2, 3, 4},
      [](const Tensor& x) {
        return expand(x, {2, -1, 4});
      },
      [](const Dims& i) {
        return Dims{i[1], 0};
      });
  check_view(
      "reshape of an expansion",
      {3, 1},
      {12},
      [](const Tensor& x) {
        return reshape(expand(x, {3, 4}), {12});
      },
      [](const Dims& i) {
        return Dims{i[0] / 4, 0};
      });
}

TEST_CASE("slices conform", "[conformance]") {
  constexpr auto end = std::numeric_limits<std::int64_t>::max();
  check_view(
      "slice of rows",
      {7, 3},
      {2, 3},
      [](const Tensor& x) { return slice(x, 0, 2, 6, 3); },
      [](const Dims& i) {
        return Dims{2 + 3 * i[0], i[1]};
      });
  check_view(
      "slice of columns",
      {3, 7},
      {3, 3},
      [](const Tensor& x) { return slice(x, -1, 1, end, 2); },
      [](const Dims& i) {
        return Dims{i[0], 1 + 2 * i[1]};
      });
  check_view(
      "slice from the end",
      {6},
      {2},
      [](const Tensor& x) { return slice(x, 0, -3, -1); },
      [](const Dims& i) { return Dims{3 + i[0]}; });
  check_view(
      "narrow",
      {2, 5, 2},
      {2, 3, 2},
      [](const Tensor& x) { return narrow(x, 1, 1, 3); },
      [](const Dims& i) {
        return Dims{i[0], 1 + i[1], i[2]};
      });
  check_view(
      "select",
      {2, 5, 2},
      {2, 2},
      [](const Tensor& x) { return select(x, 1, -2); },
      [](const Dims& i) {
        return Dims{i[0], 3, i[1]};
      });
}
