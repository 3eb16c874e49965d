#include "convolutions.hpp"
#include "emulated_tiles.hpp"
#include "narrow_products.hpp"
#include "run_plan.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

// Convolutions of bfloat16: by AMX's tiles, by emulated ones, and by the kernels of float32 on all
// instruction sets, against sums of doubles.

namespace troupe::cpu::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// The kernels that there are, and the one for emulated tiles, where packing can run.
template <class Op>
std::vector<NamedPlan> all_kernels(PlanFunction emulated) {
  std::vector<NamedPlan> list = kernels<Op>();
  if (__builtin_cpu_supports("avx512bf16")) list.push_back({"emulated amx", emulated});
  return list;
}
std::vector<NamedPlan> forward_kernels() { return all_kernels<Conv2d>(&plan_emulated_conv2d); }
std::vector<NamedPlan> input_kernels() {
  return all_kernels<Conv2dBackwardInput>(&plan_emulated_conv2d_input);
}
std::vector<NamedPlan> weight_kernels() {
  return all_kernels<Conv2dBackwardWeight>(&plan_emulated_conv2d_weight);
}

/// In row-major order, with channels last, or in any order, now and then with gaps.
HostTensor<BFloat16> draw_narrow(Random& random, const Shape& shape) {
  std::vector<std::size_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0u);
  const std::int64_t layout = draw(random, 0, 3);
  if (layout == 1 && shape.size() == 4) order = {0, 2, 3, 1};
  if (layout == 2) std::shuffle(order.begin(), order.end(), random);
  const HostTensor<float> like =
      make_strided<float>(shape, order, layout > 1 ? draw(random, 0, 3) : 0);
  HostTensor<BFloat16> tensor;
  tensor.data.assign(like.data.size(), rounded<BFloat16>(NAN));
  tensor.view = like.view;
  tensor.view.dtype = DType::bfloat16;
  tensor.view.data = tensor.data.data();
  std::normal_distribution<double> even;
  for (std::int64_t i = 0; i < tensor.view.elements(); ++i)
    tensor.at(i) = rounded<BFloat16>(even(random));
  return tensor;
}

template <class Op>
void check(
    const std::vector<NamedPlan>& plans,
    const Op& op,
    std::initializer_list<View> in,
    const Shape& shape,
    const std::vector<Expected>& want,
    std::int64_t terms) {
  double largest = 0;
  for (const Expected& one : want) largest = std::max(largest, one.size);
  for (const NamedPlan& kernel : plans) {
    CAPTURE(kernel.isa);
    HostTensor<BFloat16> out = make_tensor<BFloat16>(shape);
    const KernelCall call = call_of(op, in, {out.view});
    run_kernel(kernel.plan, call);
    const std::vector<BFloat16> in_order = out.data;
    // Those of float32 may go by Winograd's tiles, whose results share their errors.
    const bool own = kernel.isa.find("amx") != std::string::npos;
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      wrong += !close(out.data[i], {want[i].sum, own ? want[i].size : largest}, terms, 0);
    REQUIRE(wrong == 0);
    std::fill(out.data.begin(), out.data.end() - 1, rounded<BFloat16>(NAN));
    run_kernel(kernel.plan, call, 17);
    REQUIRE(same_bits(out.data, in_order));
    std::fill(out.data.begin(), out.data.end() - 1, rounded<BFloat16>(NAN));
    if (run_packed<BFloat16>(kernel.plan, call, 18)) REQUIRE(same_bits(out.data, in_order));
  }
}

/// Forward with a bias of either dtype and without, and backward to input and weight.
void check_all(const Geometry& g, Random& random) {
  CAPTURE(g.text());
  const HostTensor<BFloat16> x = draw_narrow(random, g.x());
  const HostTensor<BFloat16> weight = draw_narrow(random, g.weight());
  const HostTensor<BFloat16> dy = draw_narrow(random, g.y());
  const HostTensor<BFloat16> bias = draw_narrow(random, {g.groups * g.out});
  HostTensor<float> wide_bias = make_strided<float>({g.groups * g.out}, {0}, 0);
  fill(wide_bias, random);
  const auto elements = [](const Shape& shape) {
    return static_cast<std::size_t>(elements_in(shape));
  };
  std::vector<Expected> y(elements(g.y())), dx(elements(g.x())), dw(elements(g.weight()));
  for_each_product(g, [&](std::int64_t i, std::int64_t j, std::int64_t k) {
    const auto add = [](Expected& to, BFloat16 a, BFloat16 b) {
      to.sum += number(a) * number(b);
      to.size += std::abs(number(a) * number(b));
    };
    add(y[static_cast<std::size_t>(i)], x.at(j), weight.at(k));
    add(dx[static_cast<std::size_t>(j)], dy.at(i), weight.at(k));
    add(dw[static_cast<std::size_t>(k)], dy.at(i), x.at(j));
  });
  const std::int64_t taps = g.taps_y * g.taps_x;
  const Conv2d forward{{}, g.stride, g.padding, g.dilation, g.groups};
  check(forward_kernels(), forward, {x.view, weight.view}, g.y(), y, g.in * taps);
  for (const bool wide : {false, true}) {
    std::vector<Expected> biased = y;
    const Shape shape = g.y();
    for (std::size_t i = 0; i < biased.size(); ++i) {
      const std::int64_t channel = static_cast<std::int64_t>(i) / (shape[2] * shape[3]) % shape[1];
      const double added = wide ? wide_bias.at(channel) : number(bias.at(channel));
      biased[i].sum += added;
      biased[i].size += std::abs(added);
    }
    check(
        forward_kernels(),
        forward,
        {x.view, weight.view, wide ? wide_bias.view : bias.view},
        g.y(),
        biased,
        g.in * taps + 1);
  }
  const Conv2dBackwardInput to_input{{}, g.stride, g.padding, g.dilation, g.groups, g.x()};
  check(input_kernels(), to_input, {dy.view, weight.view}, g.x(), dx, g.out * taps);
  const Conv2dBackwardWeight to_weight{{}, g.stride, g.padding, g.dilation, g.groups, g.weight()};
  check(
      weight_kernels(),
      to_weight,
      {dy.view, x.view},
      g.weight(),
      dw,
      g.images * g.y()[2] * g.y()[3]);
}

const Dims none{0, 0};
const Dims one{1, 1};
const Dims two{2, 2};

/// Layers that meet the paths of tiles, and their edges.
const std::vector<Geometry>& layers() {
  static const std::vector<Geometry> all{
      {3, 1, 1, 32, 28, 28, 3, 3, one, one, one},  // the CNN's
      {3, 1, 32, 64, 14, 14, 3, 3, one, one, one},
      {1, 1, 64, 40, 32, 32, 3, 3, one, one, one},  // rows of whole tiles
      {9, 1, 17, 13, 7, 7, 3, 3, one, one, one},    // rows joined, blocks not full
      {1, 1, 33, 8, 29, 31, 3, 3, one, none, one},
      {1, 1, 9, 65, 12, 150, 3, 3, one, {0, 1}, one},  // rows longer than a group
      {1, 1, 3, 16, 40, 40, 7, 7, two, {3, 3}, one},   // rows of tiles are gathered
      {2, 1, 4, 9, 9, 11, 5, 3, one, none, one},
      {1, 1, 2, 20, 20, 31, 3, 5, one, two, {2, 1}},
      {2, 1, 40, 24, 15, 14, 1, 1, two, none, one},
      {1, 1, 32, 32, 21, 22, 3, 3, one, {5, 4}, one},  // padding beyond the kernel
      {1, 1, 20, 20, 25, 24, 3, 3, one, two, two},
      {1, 1, 96, 16, 90, 40, 3, 3, one, one, one},  // strips
      {2, 1, 1, 9, 1, 9, 1, 9, one, {0, 4}, one},
      {1, 1, 70, 75, 1, 1, 1, 1, one, none, one}};
  return all;
}

}  // namespace

TEST_CASE("convolutions of bfloat16 agree with the plain sum", "[cpu][conv2d][narrow]") {
  Random random(21);
  for (const Geometry& g : layers()) check_all(g, random);
  for (int round = 0; round < 30; ++round) {
    CAPTURE(round);
    check_all(draw_geometry(random), random);
  }
  check_all({0, 1, 9, 9, 5, 5, 3, 3}, random);
  check_all({2, 1, 0, 9, 5, 5, 3, 3}, random);
}

// Goal: the pooling of what a convolution made has the bits of the two one after the other, with
// its zeros of both signs, NaNs and equal numbers.
TEST_CASE("convolutions of bfloat16 pool as max_pool2d does", "[cpu][conv2d][narrow]") {
  Random random(22);
  for (const Geometry& g : layers())
    for (const NamedPlan& kernel : forward_kernels())
      for (const bool relu : {false, true}) {
        CAPTURE(g.text(), kernel.isa, relu);
        HostTensor<BFloat16> x = draw_narrow(random, g.x());
        HostTensor<BFloat16> weight = draw_narrow(random, g.weight());
        // Few different sums, so that many are equal.
        for (HostTensor<BFloat16>* one : {&x, &weight})
          for (std::int64_t i = 0; i < one->view.elements(); ++i)
            one->at(i) = rounded<BFloat16>(static_cast<double>(draw(random, -1, 1)));
        x.at(x.view.elements() / 2) = rounded<BFloat16>(NAN);
        const Conv2d op{{}, g.stride, g.padding, g.dilation, g.groups};
        const Shape shape = g.y();
        HostTensor<BFloat16> y = make_tensor<BFloat16>(shape);
        KernelCall call = call_of(op, {x.view, weight.view}, {y.view});
        run_kernel(kernel.plan, call);

        const Shape pooled_shape{shape[0], shape[1], shape[2] / 2, shape[3] / 2};
        HostTensor<BFloat16> pooled = make_tensor<BFloat16>(pooled_shape);
        HostTensor<std::uint8_t> places = make_tensor<std::uint8_t>(pooled_shape);
        if (pooled.view.elements() == 0) continue;
        call.out[0].data = nullptr;
        call.out[1] = pooled.view;
        call.out[2] = places.view;
        call.out_count = 3;
        call.pools = true;
        call.pools_with_relu = relu;
        Plan plan;
        kernel.plan(call, plan);
        if (!plan.pools) continue;
        run_plan(call, plan, 3);
        std::int64_t wrong = 0;
        for (std::int64_t i = 0; i < pooled.view.elements(); ++i) {
          const std::int64_t column = i % pooled_shape[3] * 2;
          const std::int64_t row = i / pooled_shape[3] % pooled_shape[2] * 2;
          const std::int64_t plane = i / pooled_shape[3] / pooled_shape[2];
          const auto at = [&](int k) {
            return y.at((plane * shape[2] + row + k / 2) * shape[3] + column + k % 2);
          };
          BFloat16 most = at(0);
          int where = 0;
          for (int k = 1; k < 4; ++k)
            if (number(at(k)) > number(most) || std::isnan(number(at(k)))) {
              most = at(k);
              where = k;
            }
          if (relu && !(number(most) > 0)) {
            if (!std::isnan(number(most))) most = {};
            where = 4;
          }
          wrong += pooled.at(i).bits != most.bits || places.at(i) != where;
        }
        CHECK(wrong == 0);
      }
}

// Goal: channels last are the same numbers in another order, whatever the layout of what is read,
// with a pooling and without; a segment goes on with each of them once.
TEST_CASE("tiles make images with channels last", "[cpu][conv2d][narrow]") {
  Random random(24);
  for (const Geometry& g : layers())
    for (const NamedPlan& kernel : forward_kernels()) {
      if (kernel.isa.find("amx") == std::string::npos) continue;
      CAPTURE(g.text(), kernel.isa);
      const HostTensor<BFloat16> x = draw_narrow(random, g.x());
      const HostTensor<BFloat16> weight = draw_narrow(random, g.weight());
      Conv2d op{{}, g.stride, g.padding, g.dilation, g.groups};
      const Shape shape = g.y();
      HostTensor<BFloat16> planes = make_tensor<BFloat16>(shape);
      run_kernel(kernel.plan, call_of(op, {x.view, weight.view}, {planes.view}));
      op.channels_last = true;
      HostTensor<BFloat16> last = make_tensor<BFloat16>({shape[0], shape[2], shape[3], shape[1]});
      run_kernel(kernel.plan, call_of(op, {x.view, weight.view}, {last.view}), 7);
      const auto differ = [](const HostTensor<BFloat16>& a, const HostTensor<BFloat16>& b) {
        const Shape& size = a.view.shape;
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < a.view.elements(); ++i) {
          const std::int64_t place = i % (size[2] * size[3]);
          const std::int64_t channel = i / (size[2] * size[3]) % size[1];
          const std::int64_t image = i / (size[2] * size[3] * size[1]);
          const BFloat16 other = b.at((image * size[2] * size[3] + place) * size[1] + channel);
          count += a.at(i).bits != other.bits;
        }
        return count;
      };
      CHECK(differ(planes, last) == 0);

      const Shape pooled{shape[0], shape[1], shape[2] / 2, shape[3] / 2};
      if (elements_in(pooled) == 0) continue;
      HostTensor<BFloat16> y[2] = {
          make_tensor<BFloat16>(pooled),
          make_tensor<BFloat16>({pooled[0], pooled[2], pooled[3], pooled[1]})};
      HostTensor<std::uint8_t> places[2] = {
          make_tensor<std::uint8_t>(pooled), make_tensor<std::uint8_t>(pooled)};
      bool pools = true;
      for (const bool turned : {false, true}) {
        op.channels_last = turned;
        KernelCall call = call_of(op, {x.view, weight.view}, {(turned ? last : planes).view});
        call.out[0].data = nullptr;
        call.out[1] = y[turned].view;
        call.out[2] = places[turned].view;
        call.out_count = 3;
        call.pools = call.pools_with_relu = true;
        Plan plan;
        kernel.plan(call, plan);
        pools = plan.pools;
        if (pools) run_plan(call, plan, 8);
      }
      if (!pools) continue;
      CHECK(differ(y[0], y[1]) == 0);
      CHECK(same_bits(places[0].data, places[1].data));
    }
}

TEST_CASE("convolutions of bfloat16 go on with a segment", "[cpu][conv2d][narrow]") {
  Random random(23);
  for (const Geometry& g : layers())
    for (const NamedPlan& kernel : forward_kernels()) {
      CAPTURE(g.text(), kernel.isa);
      const HostTensor<BFloat16> x = draw_narrow(random, g.x());
      const HostTensor<BFloat16> weight = draw_narrow(random, g.weight());
      HostTensor<BFloat16> y = make_tensor<BFloat16>(g.y());
      const Conv2d op{{}, g.stride, g.padding, g.dilation, g.groups};
      Told<BFloat16> told = told_of(kernel, call_of(op, {x.view, weight.view}, {y.view}), y);
      CHECK(std::count(told.times.begin(), told.times.end(), 1) == y.view.elements());
      told.seen.push_back(y.data.back());
      CHECK(same_bits(told.seen, y.data));
    }
}

// Goal: an infinity in x reaches the places whose window holds it, and no other.
TEST_CASE("an infinity of bfloat16 spreads over its window only", "[cpu][conv2d][narrow]") {
  const Conv2d op{{}, {1, 1}, {1, 1}, {1, 1}, 1};
  for (const NamedPlan& kernel : forward_kernels()) {
    if (kernel.isa.find("amx") == std::string::npos) continue;  // Winograd's reaches a tile
    for (const std::int64_t channels : {1, 3, 20, 40})
      for (const std::int64_t size : {5, 14, 19, 32}) {
        HostTensor<BFloat16> x = make_tensor<BFloat16>({1, channels, size, size});
        HostTensor<BFloat16> weight = make_tensor<BFloat16>({9, channels, 3, 3});
        std::fill(x.data.begin(), x.data.end(), rounded<BFloat16>(1));
        std::fill(weight.data.begin(), weight.data.end(), rounded<BFloat16>(1));
        x.at((channels - 1) * size * size + 2 * size + 3) = rounded<BFloat16>(infinity);
        HostTensor<BFloat16> y = make_tensor<BFloat16>({1, 9, size, size});
        run_kernel(kernel.plan, call_of(op, {x.view, weight.view}, {y.view}));
        CAPTURE(kernel.isa, size, channels);
        for (std::int64_t i = 0; i < 9 * size * size; ++i) {
          const std::int64_t row = i / size % size;
          const std::int64_t column = i % size;
          const bool touched = std::abs(row - 2) <= 1 && std::abs(column - 3) <= 1;
          REQUIRE(std::isinf(number(y.at(i))) == touched);
          REQUIRE_FALSE(std::isnan(number(y.at(i))));
        }
      }
  }
}

}  // namespace troupe::cpu::test
