#include "op_check.hpp"

#include <troupe/tensor/ops/max_pool2d.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstring>

namespace troupe::cpu::test {
namespace {

/// Calls `look(output, place in window, input)` for each element that each window sees.
void for_each_look(
    const MaxPool2dRule& rule,
    const Shape& input,
    const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& look) {
  const Shape out = rule.pooled({DType::float64, input});
  const std::size_t r = input.size() - 2;
  for (std::int64_t o = 0; o < elements_in(out); ++o) {
    const std::int64_t plane = o / (out[r] * out[r + 1]);
    const std::int64_t i = o / out[r + 1] % out[r];
    const std::int64_t j = o % out[r + 1];
    for (std::int64_t k = 0; k < rule.kernel_size[0] * rule.kernel_size[1]; ++k) {
      const std::int64_t y =
          i * rule.stride[0] - rule.padding[0] + k / rule.kernel_size[1] * rule.dilation[0];
      const std::int64_t x =
          j * rule.stride[1] - rule.padding[1] + k % rule.kernel_size[1] * rule.dilation[1];
      if (y >= 0 && y < input[r] && x >= 0 && x < input[r + 1])
        look(o, k, (plane * input[r] + y) * input[r + 1] + x);
    }
  }
}

Samples pooled(const MaxPool2dRule& rule, const Sample& x, bool relu = false) {
  const Shape out = rule.pooled({DType::float64, x.meta.shape});
  Sample y = sample_of(out);
  Sample places = sample_of(out);
  std::vector<bool> seen(y.data.size());
  for_each_look(rule, x.meta.shape, [&](std::int64_t o, std::int64_t k, std::int64_t at) {
    const auto place = static_cast<std::size_t>(o);
    if (seen[place] && !(x[at] > y[o]) && !std::isnan(x[at])) return;
    seen[place] = true;
    y[o] = x[at];
    places[o] = static_cast<double>(k);
  });
  for (std::int64_t o = 0; relu && o < elements_in(out); ++o) {
    if (y[o] > 0) continue;
    if (!std::isnan(y[o])) y[o] = 0;
    places[o] = static_cast<double>(rule.window_size());
  }
  return {y, places};
}

struct Case {
  Shape input;
  MaxPool2dRule rule;
};
// The fast way at every width, with rows and columns left over; then all that is not 2×2 by 2.
const std::vector<Case> cases{
    {{2, 3, 26, 26}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{1, 2, 11, 11}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{3, 4, 5}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{3, 5, 5, 7}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{1, 3, 14, 14}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{1, 1, 64, 67}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{40, 8, 16, 16}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{2, 3, 2, 2}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}},
    {{2, 3, 7, 9}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, true}},
    {{2, 3, 7, 9}, {{}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, false}},
    {{1, 3, 12, 9}, {{}, {3, 2}, {1, 3}, {1, 0}, {2, 1}, true}},
    {{1, 2, 20, 20}, {{}, {17, 16}, {1, 2}, {8, 8}, {1, 1}, false}},
    {{1, 2, 18, 17}, {{}, {16, 16}, {1, 1}, {0, 0}, {1, 1}, false}},
    {{0, 2, 4, 4}, {{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}}};

}  // namespace

TEST_CASE("max_pool2d finds the largest element and its place", "[cpu]") {
  std::mt19937_64 random(1);
  for (const Case& c : cases) {
    CAPTURE(to_string(c.input), to_string(c.rule.kernel_size));
    Sample x = draw_sample(random, c.input);
    if (c.input[0] == 2) {
      // Equal elements, infinities and NaNs, as PyTorch treats them.
      for (double& value : x.data) value = std::round(value);
      x[1] = x[5] = NAN;
      x[2] = x[3] = -INFINITY;
    }
    for (const bool relu : {false, true}) {
      CHECK(
          check_op(
              MaxPool2d{c.rule, relu},
              {x},
              [&](const Samples& in) { return pooled(c.rule, in[0], relu); },
              {0, 0}) == "");
      CHECK(
          check_op(
              MaxPool2dValues{c.rule, relu},
              {x},
              [&](const Samples& in) { return Samples{pooled(c.rule, in[0], relu)[0]}; },
              {0, 0}) == "");
    }
  }
}

TEST_CASE("max_pool2d's gradient goes where the maximum was, and back", "[cpu]") {
  std::mt19937_64 random(2);
  for (const Case& c : cases) {
    CAPTURE(to_string(c.input), to_string(c.rule.kernel_size));
    const Sample x = draw_sample(random, c.input);
    Sample places = pooled(c.rule, x, true)[1];
    places.meta.dtype = c.rule.index_dtype(true);
    const Sample dy = draw_sample(random, places.meta.shape);
    CHECK(check_op(MaxPool2dBackward{c.rule, c.input}, {dy, places}, [&](const Samples& in) {
            Sample dx = sample_of(c.input);
            for_each_look(c.rule, c.input, [&](std::int64_t o, std::int64_t k, std::int64_t at) {
              if (in[1][o] == static_cast<double>(k)) dx[at] += in[0][o];
            });
            return Samples{dx};
          }) == "");
    CHECK(
        check_op(
            MaxPool2dTake{c.rule},
            {x, places},
            [&](const Samples& in) { return Samples{pooled(c.rule, in[0], true)[0]}; },
            {0, 0}) == "");
  }
}

namespace {

/// Numbers of bfloat16, as such and widened: few different ones, of which many windows have
/// several.
struct Narrow {
  HostTensor<BFloat16> narrow;
  HostTensor<float> wide;

  Narrow(std::mt19937_64& random, const Shape& shape)
      : narrow(make_tensor<BFloat16>(shape)), wide(make_tensor<float>(shape)) {
    std::uniform_int_distribution<int> draw(-9, 9);
    for (std::int64_t i = 0; i < wide.view.elements(); ++i) {
      const int drawn = draw(random);
      wide.at(i) = drawn == 9 ? NAN : drawn == 0 ? -0.0f : static_cast<float>(drawn) / 4;
      std::uint32_t bits;
      std::memcpy(&bits, &wide.at(i), sizeof bits);
      narrow.at(i) = {static_cast<std::uint16_t>(bits >> 16)};
    }
  }
};

std::int64_t different(const HostTensor<BFloat16>& got, const HostTensor<float>& want) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < got.view.elements(); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, &want.at(i), sizeof bits);
    if (!std::isnan(want.at(i))) bits += 0x7fff + (bits >> 16 & 1);
    count += got.at(i).bits != bits >> 16;
  }
  return count;
}

}  // namespace

// Goal: comparing and moving lose nothing, and sums are made in float32 and rounded once.
TEST_CASE("max_pool2d of bfloat16 has the bits of float32's", "[cpu]") {
  std::mt19937_64 random(3);
  for (const Case& c : cases)
    for (std::size_t k = 0; k < kernels<MaxPool2d>().size(); ++k)
      for (const bool relu : {false, true}) {
        CAPTURE(to_string(c.input), kernels<MaxPool2d>()[k].isa, relu);
        const Narrow x(random, c.input);
        const Shape shape = c.rule.pooled({DType::float32, c.input});
        const MaxPool2d op{c.rule, relu};
        const DType place = c.rule.index_dtype(relu);
        const auto forward = [&]<class T, class Place>(const View& in, HostTensor<T>& y, Place*) {
          HostTensor<Place> places = make_tensor<Place>(shape);
          run_kernel(kernels<MaxPool2d>()[k].plan, call_of(op, {in}, {y.view, places.view}), 1);
          HostTensor<T> alone = make_tensor<T>(shape);
          const MaxPool2dValues values{c.rule, relu};
          run_kernel(kernels<MaxPool2dValues>()[k].plan, call_of(values, {in}, {alone.view}), 2);
          CHECK(same_bits(y.data, alone.data));
          return places;
        };
        const auto both = [&]<class Place>(Place* type) {
          HostTensor<BFloat16> narrow = make_tensor<BFloat16>(shape);
          HostTensor<float> wide = make_tensor<float>(shape);
          const HostTensor<Place> places = forward(x.narrow.view, narrow, type);
          const HostTensor<Place> expected = forward(x.wide.view, wide, type);
          CHECK(different(narrow, wide) == 0);
          CHECK(same_bits(places.data, expected.data));

          const Narrow dy(random, shape);
          const MaxPool2dBackward back{c.rule, c.input};
          HostTensor<BFloat16> dx = make_tensor<BFloat16>(c.input);
          HostTensor<float> wide_dx = make_tensor<float>(c.input);
          const PlanFunction plan = kernels<MaxPool2dBackward>()[k].plan;
          run_kernel(plan, call_of(back, {dy.narrow.view, places.view}, {dx.view}), 3);
          run_kernel(plan, call_of(back, {dy.wide.view, places.view}, {wide_dx.view}), 3);
          CHECK(different(dx, wide_dx) == 0);
          const MaxPool2dTake take{c.rule};
          const PlanFunction taking = kernels<MaxPool2dTake>()[k].plan;
          run_kernel(taking, call_of(take, {x.narrow.view, places.view}, {narrow.view}), 4);
          run_kernel(taking, call_of(take, {x.wide.view, places.view}, {wide.view}), 4);
          CHECK(different(narrow, wide) == 0);
        };
        if (place == DType::uint8)
          both(static_cast<std::uint8_t*>(nullptr));
        else
          both(static_cast<std::int32_t*>(nullptr));
      }
}

}  // namespace troupe::cpu::test
