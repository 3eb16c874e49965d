#include "case.hpp"
#include "support/vulkan.hpp"
#ifdef TROUPE_VULKAN
#include "both.hpp"
#endif

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <functional>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

// Goal: products of 16-bit floats are sums in float32 that are rounded once. Method: the factors as
// they are stored, multiplied and added in double, and a bound that holds for any order of K sums
// in float32: half a unit in the last place of 16 bits, and K · 2⁻²² of the sum of all sizes, which
// leaves room for adders that cut off where float32 rounds.

using namespace troupe;
using conformance::Generator;

namespace {

constexpr DType halves[] = {DType::float16, DType::bfloat16};

/// Runs on the Vulkan device under test, or on each instruction set of the CPU.
void on_each(const std::function<void()>& body) {
#ifdef TROUPE_VULKAN
  if (conformance::ran_on_vulkan(body)) return;
#endif
  for (const std::string_view set : cpu::instruction_sets()) {
    INFO(set);
    System system(System::Options{.threads = 2});
    cpu::attach(system, {.instruction_set = std::string(set), .poison_memory = true});
    const Scope scope(system);
    body();
  }
}

/// Numbers that no 16-bit float rounds to 0 or to infinity in the products below.
Tensor drawn(Generator& random, const Shape& shape, DType dtype) {
  std::uniform_real_distribution<float> even(-2, 2);
  std::vector<float> all(static_cast<std::size_t>(elements_in(shape)));
  for (float& x : all) x = even(random);
  return cast(Tensor::copy_of<float>(all, shape), dtype);
}

std::vector<double> numbers_of(const Tensor& x) {
  // Every 16-bit float is a float32, and not every device computes in float64.
  const std::vector<float> single = cast(contiguous(x), DType::float32).to_vector<float>();
  return {single.begin(), single.end()};
}

/// A row-major matrix's product, and the sums of the sizes of what is added.
struct Exact {
  std::vector<double> sum;
  std::vector<double> size;
};
Exact product_of(
    std::span<const double> a,
    std::span<const double> b,
    std::int64_t m,
    std::int64_t n,
    std::int64_t k) {
  Exact exact;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (std::int64_t p = 0; p < k; ++p) {
        const double one =
            a[static_cast<std::size_t>(i * k + p)] * b[static_cast<std::size_t>(p * n + j)];
        sum += one;
        size += std::abs(one);
      }
      exact.sum.push_back(sum);
      exact.size.push_back(size);
    }
  return exact;
}

/// Half the distance of a 16-bit float's numbers at `x`.
double half_unit(double x, DType dtype) {
  const int digits = dtype == DType::float16 ? 11 : 8;
  const int least = dtype == DType::float16 ? -14 : -126;
  return std::ldexp(1, std::max(x == 0 ? least : std::ilogb(x), least) - digits);
}

/// Empty, or which number is too far off. `terms`: how many are added.
std::string compare(const Tensor& got, const Exact& want, std::int64_t terms) {
  const std::vector<double> numbers = numbers_of(got);
  if (numbers.size() != want.sum.size()) return "another shape";
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const double adding = std::ldexp(static_cast<double>(terms), -22) * want.size[i];
    // Rounding is of what was added up, which may be a binade above.
    const double allowed = adding + half_unit(std::abs(want.sum[i]) + adding, got.dtype());
    if (std::abs(numbers[i] - want.sum[i]) <= allowed) continue;
    std::ostringstream text;
    text << "element " << i << " of " << numbers.size() << " is " << numbers[i] << ", not "
         << want.sum[i];
    return text.str();
  }
  return {};
}

}  // namespace

TEST_CASE("products of 16-bit floats are rounded once", "[conformance][narrow]") {
  on_each([] {
    Generator random(11);
    // Rows, columns, depth: vectors, less than a tile, whole ones, more; multiples of 8 and not.
    const std::vector<std::tuple<int, int, int>> sizes{
        {1, 1, 1},
        {1, 40, 33},
        {40, 1, 33},
        {3, 5, 0},
        {7, 9, 3},
        {16, 16, 16},
        {64, 64, 64},
        {65, 63, 40},
        {72, 80, 96},
        {8, 8, 1'100},
        {130, 136, 35}};
    for (const DType dtype : halves)
      for (const auto& [m, n, k] : sizes)
        for (const int turned : {0, 1, 2, 3}) {
          INFO(name_of(dtype) << " " << m << "×" << n << "×" << k << ", turned " << turned);
          Tensor a = drawn(random, turned & 1 ? Shape{k, m} : Shape{m, k}, dtype);
          Tensor b = drawn(random, turned & 2 ? Shape{n, k} : Shape{k, n}, dtype);
          if (turned & 1) a = transpose(a, 0, 1);
          if (turned & 2) b = transpose(b, 0, 1);
          const Tensor y = matmul(a, b);
          CHECK(y.dtype() == dtype);
          CHECK(compare(y, product_of(numbers_of(a), numbers_of(b), m, n, k), k) == "");
        }
    // What is a tie or overflows is rounded as a cast rounds.
    const auto dot = [](std::vector<float> a, std::vector<float> b, DType dtype) {
      const auto n = static_cast<std::int64_t>(a.size());
      const Tensor left = cast(Tensor::copy_of<float>(a, {n}), dtype);
      const Tensor right = cast(Tensor::copy_of<float>(b, {n}), dtype);
      return numbers_of(matmul(left, right))[0];
    };
    CHECK(dot({2'048, 1}, {1, 1}, DType::float16) == 2'048);
    CHECK(dot({2'048, 1}, {1, 3}, DType::float16) == 2'052);
    CHECK(std::isinf(dot({300, 300}, {300, 300}, DType::float16)));
    CHECK(dot({256, 1}, {1, 1}, DType::bfloat16) == 256);
    CHECK(dot({256, 1}, {1, 3}, DType::bfloat16) == 260);
    // Sums between are not: 2,048 + 1 + 1 would stay 2,048.
    CHECK(dot({2'048, 1, 1}, {1, 1, 1}, DType::float16) == 2'050);
  });
}

TEST_CASE("layouts do not show in products of 16-bit floats", "[conformance][narrow]") {
  on_each([] {
    Generator random(12);
    for (const DType dtype : halves) {
      INFO(name_of(dtype));
      const Tensor a = drawn(random, {3, 1, 24, 16}, dtype);
      const Tensor b = drawn(random, {2, 16, 40}, dtype);
      const Tensor y = matmul(a, b);
      CHECK(y.shape() == Shape{3, 2, 24, 40});
      for (std::int64_t i = 0; i < 3; ++i)
        for (std::int64_t j = 0; j < 2; ++j) {
          const Tensor left = select(select(a, 0, i), 0, 0), right = select(b, 0, j);
          CHECK(
              compare(
                  select(select(y, 0, i), 0, j),
                  product_of(numbers_of(left), numbers_of(right), 24, 40, 16),
                  16) == "");
        }
      // A part of a larger tensor, whose rows begin anywhere; every second number.
      const Tensor wide = drawn(random, {26, 37}, dtype);
      for (const Tensor& part :
           {slice(slice(wide, 0, 1, 25), 1, 3, 19),
            slice(slice(wide, 0, 2, 26), 1, 0, 32, 2),
            expand(slice(slice(wide, 0, 0, 1), 1, 8, 24), {24, 16})}) {
        const Tensor right = select(b, 0, 1);
        CHECK(numbers_of(matmul(part, right)) == numbers_of(matmul(contiguous(part), right)));
      }
      // Heads taken out of the last axis, and one for several.
      const Tensor q = permute(drawn(random, {2, 9, 4, 16}, dtype), {0, 2, 1, 3});
      const Tensor k = permute(drawn(random, {2, 11, 4, 16}, dtype), {0, 2, 3, 1});
      CHECK(numbers_of(matmul(q, k)) == numbers_of(matmul(contiguous(q), contiguous(k))));
      CHECK(matmul(drawn(random, {0, 4}, dtype), drawn(random, {4, 3}, dtype)).elements() == 0);
    }
  });
}

TEST_CASE("linear adds its bias before it rounds 16-bit floats", "[conformance][narrow]") {
  on_each([] {
    Generator random(13);
    for (const DType dtype : halves)
      for (const bool biased : {false, true}) {
        INFO(name_of(dtype) << ", bias " << biased);
        const Tensor x = drawn(random, {2, 5, 24}, dtype);
        const Tensor weight = drawn(random, {17, 24}, dtype);
        const Tensor bias = biased ? drawn(random, {17}, dtype) : Tensor();
        Exact want = product_of(numbers_of(x), numbers_of(transpose(weight, 0, 1)), 10, 17, 24);
        const std::vector<double> more = biased ? numbers_of(bias) : std::vector<double>(17);
        for (std::size_t i = 0; i < want.sum.size(); ++i) {
          want.sum[i] += more[i % 17];
          want.size[i] += std::abs(more[i % 17]);
        }
        CHECK(compare(linear(x, weight, bias), want, 25) == "");
        // Rows that do not lie evenly.
        const Tensor turned = transpose(drawn(random, {6, 5, 24}, dtype), 0, 1);
        CHECK(
            numbers_of(linear(turned, weight, bias)) ==
            numbers_of(linear(contiguous(turned), weight, bias)));
      }
  });
}

namespace {

/// Calls `visit(y, x, weight)` with the row-major indices of each product of a convolution.
void for_products(
    const Conv2d& op,
    const Shape& x,
    const Shape& w,
    const Shape& y,
    const std::function<void(std::size_t, std::size_t, std::size_t)>& visit) {
  for (std::int64_t at = 0; at < elements_in(y); ++at) {
    const std::int64_t j = at % y[3];
    const std::int64_t i = at / y[3] % y[2];
    const std::int64_t o = at / (y[3] * y[2]) % y[1];
    const std::int64_t n = at / (y[3] * y[2] * y[1]);
    for (std::int64_t c = 0; c < w[1]; ++c)
      for (std::int64_t k = 0; k < w[2]; ++k)
        for (std::int64_t l = 0; l < w[3]; ++l) {
          const std::int64_t row = i * op.stride[0] + k * op.dilation[0] - op.padding[0];
          const std::int64_t column = j * op.stride[1] + l * op.dilation[1] - op.padding[1];
          if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue;
          const std::int64_t channel = o / (w[0] / op.groups) * w[1] + c;
          visit(
              static_cast<std::size_t>(at),
              static_cast<std::size_t>(((n * x[1] + channel) * x[2] + row) * x[3] + column),
              static_cast<std::size_t>(((o * w[1] + c) * w[2] + k) * w[3] + l));
        }
  }
}

}  // namespace

TEST_CASE("convolutions of 16-bit floats are rounded once", "[conformance][narrow]") {
  struct Choice {
    Shape x, w;
    Conv2d op;
  };
  const std::vector<Choice> choices{
      {{2, 1, 9, 10}, {12, 1, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 1}},
      {{2, 20, 7, 9}, {12, 20, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 1}},
      {{1, 6, 9, 9}, {8, 3, 3, 2}, {{}, {2, 1}, {1, 0}, {1, 2}, 2}}};
  on_each([&] {
    Generator random(16);
    for (const DType dtype : halves)
      for (const Choice& choice : choices)
        for (const bool wide_bias : {false, true}) {
          INFO(name_of(dtype) << " " << to_string(choice.x) << to_string(choice.w) << wide_bias);
          const Conv2d& op = choice.op;
          const Tensor x = requires_grad(drawn(random, choice.x, dtype));
          const Tensor w = requires_grad(drawn(random, choice.w, dtype));
          const Tensor b = requires_grad(
              cast(drawn(random, {choice.w[0]}, dtype), wide_bias ? DType::float32 : dtype));
          const Tensor y = conv2d(x, w, b, op.stride, op.padding, op.dilation, op.groups);
          CHECK(y.dtype() == dtype);
          const Tensor dy = drawn(random, y.shape(), dtype);
          const Tensor leaves[] = {x, w, b};
          const std::vector<Tensor> gradients = grad(std::span(&y, 1), leaves, std::span(&dy, 1));

          const std::vector<double> in = numbers_of(x), weight = numbers_of(w);
          const std::vector<double> bias = numbers_of(b), slope = numbers_of(dy);
          const auto zeros = [](std::size_t n) {
            return Exact{std::vector<double>(n), std::vector<double>(n)};
          };
          Exact forward = zeros(slope.size()), to_x = zeros(in.size());
          Exact to_w = zeros(weight.size()), to_b = zeros(bias.size());
          const auto add = [](Exact& to, std::size_t i, double one) {
            to.sum[i] += one;
            to.size[i] += std::abs(one);
          };
          for_products(
              op,
              x.shape(),
              w.shape(),
              y.shape(),
              [&](std::size_t i, std::size_t j, std::size_t k) {
                add(forward, i, in[j] * weight[k]);
                add(to_x, j, slope[i] * weight[k]);
                add(to_w, k, slope[i] * in[j]);
              });
          const auto plane = static_cast<std::size_t>(y.size(2) * y.size(3));
          for (std::size_t i = 0; i < slope.size(); ++i) {
            add(forward, i, bias[i / plane % bias.size()]);
            add(to_b, i / plane % bias.size(), slope[i]);
          }
          CHECK(compare(y, forward, 200) == "");
          CHECK(compare(gradients[0], to_x, 200) == "");
          CHECK(compare(gradients[1], to_w, 200) == "");
          CHECK(gradients[2].meta() == b.meta());
          if (!wide_bias) CHECK(compare(gradients[2], to_b, 200) == "");
        }
  });
}

TEST_CASE("gradients of 16-bit products are 16-bit products", "[conformance][narrow]") {
  on_each([] {
    Generator random(14);
    for (const DType dtype : halves) {
      INFO(name_of(dtype));
      const Tensor a = requires_grad(drawn(random, {2, 9, 8}, dtype));
      const Tensor b = requires_grad(drawn(random, {8, 7}, dtype));
      const Tensor weights = drawn(random, {2, 9, 7}, dtype);
      const Tensor leaves[] = {a, b};
      const auto gradients_of = [&] {
        const Tensor y = matmul(a, b);
        return grad(std::span(&y, 1), leaves, std::span(&weights, 1));
      };
      const std::vector<Tensor> gradients = gradients_of();
      CHECK(gradients[0].meta() == a.meta());
      CHECK(gradients[1].meta() == b.meta());
      const std::vector<double> w = numbers_of(weights);
      CHECK(
          compare(gradients[0], product_of(w, numbers_of(transpose(b, 0, 1)), 18, 8, 7), 7) == "");
      const Tensor turned = transpose(reshape(a, {18, 8}), 0, 1);
      CHECK(compare(gradients[1], product_of(numbers_of(turned), w, 8, 7, 18), 18) == "");

      // A batch that was broadcast and a bias: sums in float32, rounded.
      const Tensor c = requires_grad(drawn(random, {1, 8, 7}, dtype));
      const Tensor bias = requires_grad(drawn(random, {7}, dtype));
      const Tensor batch = drawn(random, {3, 5, 8}, dtype);
      const Tensor y = linear(matmul(batch, c), drawn(random, {7, 7}, dtype), bias);
      const Tensor total = sum(cast(y, DType::float32));
      const Tensor more[] = {c, bias};
      const std::vector<Tensor> sums = grad(std::span(&total, 1), more);
      CHECK(sums[0].meta() == c.meta());
      CHECK(numbers_of(sums[1]) == std::vector<double>(7, 15));

      // Used twice, and a product that is itself where the pass begins.
      const Tensor v = requires_grad(drawn(random, {8}, dtype));
      const Tensor square = matmul(v, v);
      const Tensor slope = grad(square, v);
      std::vector<double> twice = numbers_of(v);
      for (double& x : twice) x *= 2;
      CHECK(numbers_of(slope) == twice);
    }
  });
}

TEST_CASE("programs give the bits of 16-bit products", "[conformance][narrow]") {
  on_each([] {
    Generator random(15);
    for (const DType dtype : halves) {
      INFO(name_of(dtype));
      const Parameter weight(drawn(random, {12, 20}, dtype));
      const Tensor inputs[] = {drawn(random, {20, 9}, dtype)};
      const Meta metas[] = {inputs[0].meta()};
      const GraphFunction step = [&](std::span<const Tensor> in) {
        const Tensor a = weight.tensor();
        const Tensor once = matmul(a, in[0]);
        // The weight twice, so that gradients are added.
        const Tensor y = matmul(transpose(once, 0, 1), matmul(a, in[0]));
        const Tensor total = sum(cast(y, DType::float32));
        return std::vector<Tensor>{y, grad(total, a)};
      };
      const std::vector<Tensor> live = step(inputs);
      Program program = Program::capture(step, metas);
      const std::vector<Tensor> replayed = program.run(inputs);
      CHECK(replayed[1].dtype() == dtype);
      for (std::size_t i = 0; i < live.size(); ++i)
        CHECK(numbers_of(live[i]) == numbers_of(replayed[i]));
    }
  });
}
