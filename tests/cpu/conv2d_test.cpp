#include "convolutions.hpp"
#include "run_plan.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <limits>

namespace troupe::cpu::test {
namespace {

/// A tensor in row-major order, or now and then with its dimensions shuffled in memory.
template <class T>
HostTensor<T> draw_tensor(Random& random, const Shape& shape) {
  std::vector<std::size_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0u);
  const bool strided = draw(random, 0, 3) == 0;
  if (strided) std::shuffle(order.begin(), order.end(), random);
  HostTensor<T> tensor = make_strided<T>(shape, order, strided ? draw(random, 0, 3) : 0);
  fill(tensor, random);
  return tensor;
}

/// Runs the kernels of an op in order, shuffled, and with packed weights, and compares with the
/// wanted values; `size` is the sum of absolute products, which bounds the rounding errors.
template <class T, class Op>
void check(
    const Op& op,
    std::initializer_list<View> in,
    const Shape& shape,
    const std::vector<double>& want,
    const std::vector<double>& size) {
  for (const NamedPlan& kernel : kernels<Op>()) {
    CAPTURE(kernel.isa, sizeof(T));
    HostTensor<T> out = make_tensor<T>(shape);
    const KernelCall call = call_of(op, in, {out.view});
    run_kernel(kernel.plan, call);
    const std::vector<T> in_order = out.data;
    // A chain of some thousand additions at most; errors of a sum grow like its square root.
    const double unit = sizeof(T) == 4 ? 2e-6 : 1e-14;
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      if (!(std::abs(static_cast<double>(out.data[i]) - want[i]) <= unit * (size[i] + 1e-30)))
        ++wrong;
    REQUIRE(wrong == 0);
    std::fill(out.data.begin(), out.data.end() - 1, poison<T>());
    run_kernel(kernel.plan, call, 17);
    REQUIRE(same_bits(out.data, in_order));
    std::fill(out.data.begin(), out.data.end() - 1, poison<T>());
    const bool packs =
        !std::is_same_v<Op, Conv2dBackwardWeight> && !want.empty() && call.in[1].elements() > 0;
    REQUIRE(run_packed<T>(kernel.plan, call, 18) == packs);
    if (packs) REQUIRE(same_bits(out.data, in_order));
  }
}

/// Forward with and without bias, and backward to input and weight.
template <class T>
void check_all(const Geometry& g, Random& random) {
  CAPTURE(g.text());
  const HostTensor<T> x = draw_tensor<T>(random, g.x());
  const HostTensor<T> weight = draw_tensor<T>(random, g.weight());
  const HostTensor<T> dy = draw_tensor<T>(random, g.y());
  const HostTensor<T> bias = draw_tensor<T>(random, {g.groups * g.out});
  const auto elements = [](const Shape& shape) {
    return static_cast<std::size_t>(elements_in(shape));
  };
  std::vector<double> y(elements(g.y())), y_size(y.size());
  std::vector<double> dx(elements(g.x())), dx_size(dx.size());
  std::vector<double> dw(elements(g.weight())), dw_size(dw.size());
  for_each_product(g, [&](std::int64_t i, std::int64_t j, std::int64_t k) {
    const auto add = [](double& sum, double& size, double a, double b) {
      sum += a * b;
      size += std::abs(a * b);
    };
    add(y[i], y_size[i], x.at(j), weight.at(k));
    add(dx[j], dx_size[j], dy.at(i), weight.at(k));
    add(dw[k], dw_size[k], dy.at(i), x.at(j));
  });

  // Results that are made by tiles share their errors with their neighbours.
  const Dims one{1, 1};
  if (sizeof(T) == 4 && g.taps_y == 3 && g.taps_x == 3 && g.stride == one && g.dilation == one &&
      g.in >= 8 && g.out >= 8)
    for (std::vector<double>* size : {&y_size, &dx_size, &dw_size})
      std::fill(size->begin(), size->end(), *std::max_element(size->begin(), size->end()));

  const Conv2d forward{{}, g.stride, g.padding, g.dilation, g.groups};
  check<T>(forward, {x.view, weight.view}, g.y(), y, y_size);
  const Conv2dBackwardInput to_input{{}, g.stride, g.padding, g.dilation, g.groups, g.x()};
  check<T>(to_input, {dy.view, weight.view}, g.x(), dx, dx_size);
  const Conv2dBackwardWeight to_weight{{}, g.stride, g.padding, g.dilation, g.groups, g.weight()};
  check<T>(to_weight, {dy.view, x.view}, g.weight(), dw, dw_size);

  const Shape shape = g.y();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double b = bias.at(static_cast<std::int64_t>(i) / (shape[2] * shape[3]) % shape[1]);
    y[i] += b;
    y_size[i] += std::abs(b);
  }
  check<T>(forward, {x.view, weight.view, bias.view}, g.y(), y, y_size);
}

}  // namespace

// Goal: convolutions of any geometry and layout agree with the plain sum, and bits do not depend on
// the order in which chunks run.
TEMPLATE_TEST_CASE("convolutions agree with the plain sum", "[cpu][conv2d]", float, double) {
  Random random(11);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    check_all<TestType>(draw_geometry(random), random);
  }
}

TEST_CASE("convolutions of real networks agree with the plain sum", "[cpu][conv2d]") {
  Random random(12);
  const Dims one{1, 1};
  const Dims two{2, 2};
  // The two layers of the CNN, whole images in a strip.
  check_all<float>({3, 1, 1, 32, 28, 28, 3, 3, one, one, one}, random);
  check_all<float>({3, 1, 32, 64, 14, 14, 3, 3, one, one, one}, random);
  // Strips, several blocks of depth.
  check_all<float>({1, 1, 64, 24, 32, 32, 3, 3, one, one, one}, random);
  // A residual network's first layer, a strided shortcut, a 7×7 image.
  check_all<float>({1, 1, 3, 16, 60, 60, 7, 7, two, {3, 3}, one}, random);
  check_all<float>({2, 1, 20, 30, 14, 14, 1, 1, two, {0, 0}, one}, random);
  check_all<float>({2, 1, 70, 20, 7, 7, 3, 3, one, one, one}, random);
  // Depthwise.
  check_all<float>({2, 24, 1, 1, 17, 17, 3, 3, one, one, one}, random);
  check_all<float>({2, 5, 1, 1, 28, 28, 3, 3, one, one, one}, random);
  check_all<float>({2, 24, 1, 2, 17, 17, 5, 5, two, two, one}, random);
}

// Goal: kernels of nine places and one channel, which have functions of their own.
TEST_CASE("convolutions of one channel agree with the plain sum", "[cpu][conv2d]") {
  Random random(15);
  const Dims one{1, 1};
  const Dims two{2, 2};
  const Dims none{0, 0};
  check_all<float>({2, 1, 1, 19, 28, 28, 3, 3, one, one, one}, random);
  check_all<float>({2, 1, 1, 7, 13, 11, 3, 3, one, none, one}, random);
  check_all<float>({1, 1, 1, 3, 9, 5, 3, 3, one, two, one}, random);
  check_all<float>({1, 1, 1, 3, 20, 31, 3, 3, two, one, one}, random);
  check_all<float>({1, 1, 1, 3, 20, 31, 3, 3, one, two, two}, random);
  check_all<float>({1, 1, 1, 33, 20, 31, 1, 9, one, {0, 4}, one}, random);
  check_all<float>({1, 1, 1, 3, 20, 31, 9, 1, one, {4, 0}, one}, random);
  check_all<float>({1, 1, 1, 3, 3, 2, 3, 3, one, one, one}, random);
  check_all<float>({1, 1, 1, 2, 100, 200, 3, 3, one, one, one}, random);
  check_all<double>({2, 1, 1, 19, 28, 28, 3, 3, one, one, one}, random);
}

// Goal: results of one to four channels, of which three are few: rows that fill vectors or end in
// the middle of one, more rows than are done at once or fewer, channels in several blocks, groups,
// any number of taps.
TEST_CASE("convolutions to few channels agree with the plain sum", "[cpu][conv2d]") {
  Random random(19);
  const Dims one{1, 1};
  for (std::int64_t few = 1; few <= 4; ++few) {
    CAPTURE(few);
    check_all<float>({2, 1, 32, few, 28, 28, 3, 3, one, one, one}, random);
    check_all<float>({2, 1, few, 32, 28, 28, 3, 3, one, one, one}, random);
    check_all<float>({1, 1, 70, few, 19, 14, 3, 3, one, one, one}, random);
    check_all<float>({1, 2, 6, 2 * few, 9, 65, 3, 3, one, one, one}, random);
    check_all<float>({2, 1, 5, few, 7, 33, 5, 7, one, {2, 3}, one}, random);
    check_all<float>({1, 1, 3, few, 12, 40, 3, 3, one, {2, 2}, {2, 2}}, random);
    check_all<float>({2, 1, 40, few, 5, 2, 3, 3, one, one, one}, random);
    check_all<float>({1, 1, 9, few, 6, 32, 1, 1, one, {0, 0}, one}, random);
  }
}

// Goal: tiles of 4×4 that fill an image or hang over its edges, lie in several images, begin in the
// middle of a row; channels and rows that fill no vector; groups; any padding.
TEST_CASE("convolutions by tiles agree with the plain sum", "[cpu][conv2d][winograd]") {
  Random random(16);
  const Dims one{1, 1};
  const Dims none{0, 0};
  const Dims two{2, 2};
  check_all<float>({5, 1, 32, 64, 14, 14, 3, 3, one, one, one}, random);
  check_all<float>({9, 1, 17, 13, 7, 7, 3, 3, one, one, one}, random);
  check_all<float>({1, 1, 8, 9, 29, 31, 3, 3, one, none, one}, random);
  check_all<float>({2, 1, 33, 10, 30, 9, 3, 3, one, two, one}, random);
  check_all<float>({1, 1, 9, 8, 12, 150, 3, 3, one, one, one}, random);
  check_all<float>({1, 1, 8, 8, 21, 22, 3, 3, one, {3, 0}, one}, random);
  check_all<float>({1, 1, 8, 8, 21, 22, 3, 3, one, {5, 4}, one}, random);
  check_all<float>({1, 1, 70, 75, 16, 16, 3, 3, one, one, one}, random);
  check_all<float>({40, 1, 8, 8, 3, 5, 3, 3, one, one, one}, random);
  check_all<float>({6, 3, 9, 10, 11, 13, 3, 3, one, one, one}, random);
}

/// How far a convolution of 32 channels is from the exact sums: the largest error and the root of
/// the mean square, each over that of a chain of FMAs.
struct Errors {
  double largest, usual;
  bool chains;  ///< all bits are the chains'
};
template <class Visit>
Errors errors_of(const HostTensor<float>& got, std::int64_t count, const Visit& visit) {
  std::vector<double> exact(static_cast<std::size_t>(count));
  std::vector<float> chain(static_cast<std::size_t>(count));
  visit([&](std::int64_t i, float a, float b) {
    exact[static_cast<std::size_t>(i)] += static_cast<double>(a) * b;
    chain[static_cast<std::size_t>(i)] = std::fma(a, b, chain[static_cast<std::size_t>(i)]);
  });
  Errors errors{0, 0, true};
  double chain_largest = 0;
  double chain_usual = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double error = std::abs(got.data[i] - exact[i]);
    const double of_chain = std::abs(chain[i] - exact[i]);
    errors.largest = std::max(errors.largest, error);
    errors.usual += error * error;
    chain_largest = std::max(chain_largest, of_chain);
    chain_usual += of_chain * of_chain;
    errors.chains = errors.chains && got.data[i] == chain[i];
  }
  errors.largest /= chain_largest;
  errors.usual = std::sqrt(errors.usual / chain_usual);
  return errors;
}

// Goal: Winograd's way loses no more than its docs say, and is the one that is tested.
// Method: errors against sums of doubles, beside those of chains of FMAs, which the plain way gives
// to the bit. What other points for the polynomials would lose is over the bounds.
TEST_CASE("tiles lose little over the plain sum", "[cpu][conv2d][winograd]") {
  Random random(17);
  const double low = GENERATE(-1.0, 0.0);  // as inputs are, and as activations are
  const Geometry g{8, 1, 32, 24, 14, 14, 3, 3, {1, 1}, {1, 1}, {1, 1}};
  HostTensor<float> x = make_tensor<float>(g.x());
  HostTensor<float> weight = make_tensor<float>(g.weight());
  HostTensor<float> dy = make_tensor<float>(g.y());
  fill(x, random, low, 1);
  fill(weight, random);
  fill(dy, random);
  const auto products = [&](auto&& add) {
    for_each_product(g, [&](std::int64_t i, std::int64_t j, std::int64_t k) {
      add(i, x.data[j], weight.data[k]);
    });
  };
  const auto gradient_products = [&](auto&& add) {
    for_each_product(
        g, [&](std::int64_t i, std::int64_t j, std::int64_t k) { add(k, dy.data[i], x.data[j]); });
  };
  for (const NamedPlan& kernel : kernels<Conv2d>()) {
    CAPTURE(kernel.isa, low);
    HostTensor<float> y = make_tensor<float>(g.y());
    const Conv2d op{{}, g.stride, g.padding, g.dilation, 1};
    run_kernel(kernel.plan, call_of(op, {x.view, weight.view}, {y.view}));
    const Errors errors = errors_of(y, y.view.elements(), products);
    CHECK_FALSE(errors.chains);
    CHECK(errors.usual < 3);
    CHECK(errors.largest < 4);
  }
  for (const NamedPlan& kernel : kernels<Conv2dBackwardWeight>()) {
    CAPTURE(kernel.isa, low);
    HostTensor<float> dw = make_tensor<float>(g.weight());
    const Conv2dBackwardWeight op{{}, g.stride, g.padding, g.dilation, 1, g.weight()};
    run_kernel(kernel.plan, call_of(op, {dy.view, x.view}, {dw.view}));
    const Errors errors = errors_of(dw, dw.view.elements(), gradient_products);
    CHECK_FALSE(errors.chains);
    CHECK(errors.usual < 3);
    CHECK(errors.largest < 4);
  }
}

// Goal: what follows a convolution sees each element once, and complete.
TEST_CASE("convolutions go on with a segment", "[cpu][conv2d]") {
  Random random(18);
  const Dims one{1, 1};
  const Dims none{0, 0};
  const Geometry choices[] = {
      {2, 1, 1, 20, 28, 28, 3, 3, one, one, one},    // one channel
      {2, 1, 3, 20, 9, 11, 5, 3, one, none, one},    // whole images
      {1, 2, 40, 150, 40, 40, 5, 5, one, one, one},  // strips, blocks of rows
      {2, 2, 64, 6, 28, 28, 3, 3, one, one, one},    // few channels in a group
      {1, 1, 2, 3, 25, 24, 19, 20, one, one, one},   // no windows
      {5, 2, 16, 30, 14, 14, 3, 3, one, one, one},   // tiles: whole images
      {3, 1, 16, 30, 30, 30, 3, 3, one, one, one},   // parts of images
      {2, 1, 16, 30, 10, 150, 3, 3, one, one, one},  // parts of rows
  };
  for (const Geometry& g : choices) {
    CAPTURE(g.text());
    HostTensor<float> x = make_tensor<float>(g.x());
    HostTensor<float> weight = make_tensor<float>(g.weight());
    HostTensor<float> y = make_tensor<float>(g.y());
    fill(x, random);
    fill(weight, random);
    for (const NamedPlan& kernel : kernels<Conv2d>()) {
      CAPTURE(kernel.isa);
      const Conv2d op{{}, g.stride, g.padding, g.dilation, g.groups};
      const Told<float> told = told_of(kernel, call_of(op, {x.view, weight.view}, {y.view}), y);
      CHECK(std::count(told.times.begin(), told.times.end(), 1) == y.view.elements());
      CHECK(std::equal(told.seen.begin(), told.seen.end(), y.data.begin()));
    }
  }
}

// Goal: the paths for what fits no window: kernels of hundreds of taps, rows of thousands of
// places.
TEST_CASE("convolutions with huge kernels and rows agree with the plain sum", "[cpu][conv2d]") {
  Random random(13);
  const Dims one{1, 1};
  check_all<float>({2, 1, 2, 3, 25, 24, 19, 20, one, {9, 9}, one}, random);
  check_all<double>({2, 1, 2, 3, 25, 24, 19, 20, {2, 3}, {9, 9}, one}, random);
  check_all<float>({1, 1, 17, 3, 40, 40, 3, 3, one, {0, 0}, {18, 18}}, random);
  check_all<float>({1, 1, 2, 3, 4, 7000, 3, 3, one, one, one}, random);
  check_all<float>({1, 1, 20, 3, 4, 3000, 3, 3, {1, 2}, one, one}, random);
  check_all<float>({1, 1, 4, 3, 100, 100, 2, 2, one, {0, 0}, {90, 90}}, random);
}

TEST_CASE("a convolution without images or channels has zeros for gradients", "[cpu][conv2d]") {
  Random random(14);
  check_all<float>({0, 1, 3, 4, 5, 5, 3, 3}, random);
  check_all<float>({2, 1, 0, 4, 5, 5, 3, 3}, random);
  check_all<float>({2, 1, 3, 0, 5, 5, 3, 3}, random);
}

// Goal: an infinity in x reaches the places whose window holds it, and no other.
TEST_CASE("an infinity spreads over its window only", "[cpu][conv2d]") {
  const Conv2d op{{}, {1, 1}, {1, 1}, {1, 1}, 1};
  for (const NamedPlan& kernel : kernels<Conv2d>())
    for (const std::int64_t size : {5, 14, 19}) {
      HostTensor<float> x = make_tensor<float>({1, 2, size, size});
      HostTensor<float> weight = make_tensor<float>({3, 2, 3, 3});
      std::fill(x.data.begin(), x.data.end(), 1.0f);
      std::fill(weight.data.begin(), weight.data.end(), 1.0f);
      x.at(size * size + 2 * size + 3) = std::numeric_limits<float>::infinity();
      HostTensor<float> y = make_tensor<float>({1, 3, size, size});
      run_kernel(kernel.plan, call_of(op, {x.view, weight.view}, {y.view}));
      CAPTURE(kernel.isa, size);
      for (std::int64_t i = 0; i < 3 * size * size; ++i) {
        const std::int64_t row = i / size % size;
        const std::int64_t column = i % size;
        const bool touched = std::abs(row - 2) <= 1 && std::abs(column - 3) <= 1;
        REQUIRE(std::isinf(y.at(i)) == touched);
        REQUIRE_FALSE(std::isnan(y.at(i)));
      }
    }
}

// Goal: by tiles, an infinity makes NaNs or infinities of the tiles that look at it, and of no
// other.
TEST_CASE("an infinity spreads over its tiles", "[cpu][conv2d][winograd]") {
  const Conv2d op{{}, {1, 1}, {1, 1}, {1, 1}, 1};
  for (const NamedPlan& kernel : kernels<Conv2d>()) {
    HostTensor<float> x = make_tensor<float>({2, 16, 14, 14});
    HostTensor<float> weight = make_tensor<float>({16, 16, 3, 3});
    std::fill(x.data.begin(), x.data.end(), 1.0f);
    std::fill(weight.data.begin(), weight.data.end(), 1.0f);
    // Row 4, column 6: the tiles of rows 0 to 7 and columns 4 to 7.
    x.at(14 * 4 + 6) = std::numeric_limits<float>::infinity();
    HostTensor<float> y = make_tensor<float>({2, 16, 14, 14});
    run_kernel(kernel.plan, call_of(op, {x.view, weight.view}, {y.view}));
    CAPTURE(kernel.isa);
    for (std::int64_t i = 0; i < y.view.elements(); ++i) {
      const std::int64_t row = i / 14 % 14;
      const std::int64_t column = i % 14;
      const bool first = i < 16 * 14 * 14;
      const bool window = std::abs(row - 4) <= 1 && std::abs(column - 6) <= 1;
      const bool tile = row < 8 && column >= 4 && column < 8;
      if (first && window) REQUIRE_FALSE(std::isfinite(y.at(i)));
      if (!first || !tile) REQUIRE(std::isfinite(y.at(i)));
    }
  }
}

// Goal: an infinite dy reaches the weights whose x it meets; the padding of panels stays outside.
TEST_CASE("an infinite gradient makes no NaN beside it", "[cpu][conv2d]") {
  for (const std::int64_t channels : {1, 3, 20})
    for (const NamedPlan& kernel : kernels<Conv2dBackwardWeight>()) {
      const Conv2dBackwardWeight op{{}, {1, 1}, {0, 0}, {1, 1}, 1, {5, channels, 3, 3}};
      HostTensor<float> x = make_tensor<float>({2, channels, 9, 9});
      HostTensor<float> dy = make_tensor<float>({2, 5, 7, 7});
      std::fill(x.data.begin(), x.data.end(), 1.0f);
      std::fill(dy.data.begin(), dy.data.end(), 1.0f);
      dy.at(49 * 6 - 1) = std::numeric_limits<float>::infinity();
      HostTensor<float> dw = make_tensor<float>({5, channels, 3, 3});
      run_kernel(kernel.plan, call_of(op, {dy.view, x.view}, {dw.view}));
      CAPTURE(kernel.isa, channels);
      for (std::int64_t i = 0; i < 5 * channels * 9; ++i)
        REQUIRE(dw.at(i) == (i < channels * 9 ? std::numeric_limits<float>::infinity() : 98.0f));
    }
}

}  // namespace troupe::cpu::test
