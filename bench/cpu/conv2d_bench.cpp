// Convolutions, GFLOP/s, of float32 and bfloat16, beside oneDNN where it is installed, all on
// [N, C, H, W] and, for oneDNN, once more on layouts of its own choice (`onednn_any`, reorders not
// counted).

#include "plan_runner.hpp"
#include "run_plan.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

#include <benchmark/benchmark.h>
#ifdef TROUPE_BENCH_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif

#include <bit>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <unordered_map>

namespace troupe::cpu::bench {
namespace {

enum class Pass { forward, backward_input, backward_weight };

struct Layer {
  std::int64_t images, in, out, size, taps, padding, stride, groups;

  [[nodiscard]] std::int64_t places() const { return (size + 2 * padding - taps) / stride + 1; }
  [[nodiscard]] Shape x() const { return {images, in, size, size}; }
  [[nodiscard]] Shape weight() const { return {out, in / groups, taps, taps}; }
  [[nodiscard]] Shape y() const { return {images, out, places(), places()}; }
  [[nodiscard]] double flops() const {
    return 2.0 *
           static_cast<double>(images * out * places() * places() * in / groups * taps * taps);
  }
  [[nodiscard]] std::string name(Pass pass) const {
    const char* const passes[] = {"forward", "backward_input", "backward_weight"};
    return "n" + std::to_string(images) + "_" + std::to_string(in) + "to" + std::to_string(out) +
           "_" + std::to_string(size) + "x" + std::to_string(size) + "_k" + std::to_string(taps) +
           "s" + std::to_string(stride) + (groups > 1 ? "g" + std::to_string(groups) : "") + "/" +
           passes[static_cast<int>(pass)];
  }
};

void count(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(
      flops * 1e-9 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

template <class Op>
void run(
    benchmark::State& state,
    const Op& op,
    const View& a,
    const View& b,
    const View& c,
    int threads) {
  Runner runner(threads);
  const PlanFunction plan_op = test::kernels<Op>().back().plan;
  const KernelCall call = test::call_of(op, {a, b}, {c});
  for (auto _ : state) {
    Plan plan;
    plan_op(call, plan);
    runner.run(call, plan);
  }
}

template <class T>
test::HostTensor<T> drawn(const Shape& shape, std::mt19937_64& random) {
  test::HostTensor<float> wide = test::make_tensor<float>(shape);
  test::fill(wide, random);
  test::HostTensor<T> tensor = test::make_tensor<T>(shape);
  for (std::size_t i = 0; i < wide.data.size(); ++i)
    if constexpr (std::is_same_v<T, float>)
      tensor.data[i] = wide.data[i];
    else  // cut off, which is as good
      tensor.data[i].bits =
          static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(wide.data[i]) >> 16);
  return tensor;
}

template <class T>
void ours(benchmark::State& state, const Layer& layer, Pass pass, int threads) {
  std::mt19937_64 random(1);
  const auto x = drawn<T>(layer.x(), random);
  const auto weight = drawn<T>(layer.weight(), random);
  const auto y = drawn<T>(layer.y(), random);
  const Dims stride{layer.stride, layer.stride};
  const Dims padding{layer.padding, layer.padding};
  const Dims dilation{1, 1};
  switch (pass) {
    case Pass::forward: {
      const Conv2d op{{}, stride, padding, dilation, layer.groups};
      run(state, op, x.view, weight.view, y.view, threads);
      break;
    }
    case Pass::backward_input: {
      const Conv2dBackwardInput op{{}, stride, padding, dilation, layer.groups, layer.x()};
      run(state, op, y.view, weight.view, x.view, threads);
      break;
    }
    case Pass::backward_weight: {
      const Conv2dBackwardWeight op{{}, stride, padding, dilation, layer.groups, layer.weight()};
      run(state, op, y.view, x.view, weight.view, threads);
      break;
    }
  }
  count(state, layer.flops());
}

#ifdef TROUPE_BENCH_ONEDNN
/// oneDNN's threads are set by OMP_NUM_THREADS.
void onednn(benchmark::State& state, const Layer& l, Pass pass, bool any, bool narrow) {
  using namespace dnnl;
  using Tag = memory::format_tag;
  const engine cpu(engine::kind::cpu, 0);
  stream queue(cpu);
  const auto type = narrow ? memory::data_type::bf16 : memory::data_type::f32;
  const Tag tag = any ? Tag::any : Tag::nchw;
  const memory::desc x({l.images, l.in, l.size, l.size}, type, tag);
  const memory::desc y({l.images, l.out, l.places(), l.places()}, type, tag);
  const memory::desc weight =
      l.groups == 1
          ? memory::desc({l.out, l.in, l.taps, l.taps}, type, Tag::any)
          : memory::desc(
                {l.groups, l.out / l.groups, l.in / l.groups, l.taps, l.taps}, type, Tag::any);
  const memory::dims stride{l.stride, l.stride};
  const memory::dims padding{l.padding, l.padding};
  const auto direct = algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  const convolution_forward::primitive_desc forward(
      cpu, prop_kind::forward_training, direct, x, weight, y, stride, padding, padding);
#else
  const convolution_forward::primitive_desc forward(
      {prop_kind::forward_training, direct, x, weight, y, stride, padding, padding}, cpu);
#endif
  primitive convolution;
  std::unordered_map<int, memory> operands;
  const auto add = [&](int slot, const memory::desc& layout) {
    memory& operand = operands[slot] = memory(layout, cpu);
    // 0.5 in either type.
    if (narrow)
      std::fill_n(
          static_cast<std::uint16_t*>(operand.get_data_handle()),
          layout.get_size() / sizeof(std::uint16_t),
          std::uint16_t{0x3f00});
    else
      std::fill_n(
          static_cast<float*>(operand.get_data_handle()), layout.get_size() / sizeof(float), 0.5f);
  };
  if (pass == Pass::forward) {
    convolution = convolution_forward(forward);
    add(DNNL_ARG_SRC, forward.src_desc());
    add(DNNL_ARG_WEIGHTS, forward.weights_desc());
    add(DNNL_ARG_DST, forward.dst_desc());
  } else if (pass == Pass::backward_input) {
#if DNNL_VERSION_MAJOR >= 3
    const convolution_backward_data::primitive_desc backward(
        cpu, direct, x, weight, y, stride, padding, padding, forward);
#else
    const convolution_backward_data::primitive_desc backward(
        {direct, x, weight, y, stride, padding, padding}, cpu, forward);
#endif
    convolution = convolution_backward_data(backward);
    add(DNNL_ARG_DIFF_SRC, backward.diff_src_desc());
    add(DNNL_ARG_WEIGHTS, backward.weights_desc());
    add(DNNL_ARG_DIFF_DST, backward.diff_dst_desc());
  } else {
#if DNNL_VERSION_MAJOR >= 3
    const convolution_backward_weights::primitive_desc backward(
        cpu, direct, x, weight, y, stride, padding, padding, forward);
#else
    const convolution_backward_weights::primitive_desc backward(
        {direct, x, weight, y, stride, padding, padding}, cpu, forward);
#endif
    convolution = convolution_backward_weights(backward);
    add(DNNL_ARG_SRC, backward.src_desc());
    add(DNNL_ARG_DIFF_WEIGHTS, backward.diff_weights_desc());
    add(DNNL_ARG_DIFF_DST, backward.diff_dst_desc());
  }
  for (auto _ : state) {
    convolution.execute(queue, operands);
    queue.wait();
  }
  count(state, l.flops());
}
#endif

const bool registered = [] {
  const auto add =
      [](const std::string& name, std::function<void(benchmark::State&)> body, bool real_time) {
        auto* bench = benchmark::RegisterBenchmark(name.c_str(), body);
        bench->Unit(benchmark::kMicrosecond);
        if (real_time) bench->UseRealTime();
      };
  // The CNN's layers at three batches, a larger one, and a residual network's: 7×7, shortcut,
  // strided, depthwise.
  const std::vector<Layer> layers = {
      {128, 1, 32, 28, 3, 1, 1, 1},
      {128, 32, 64, 14, 3, 1, 1, 1},
      {1, 1, 32, 28, 3, 1, 1, 1},
      {1, 32, 64, 14, 3, 1, 1, 1},
      {64, 1, 32, 28, 3, 1, 1, 1},
      {64, 32, 64, 14, 3, 1, 1, 1},
      {64, 64, 128, 32, 3, 1, 1, 1},
      {8, 3, 64, 112, 7, 3, 2, 1},
      {16, 64, 256, 28, 1, 0, 1, 1},
      {16, 64, 64, 28, 3, 1, 2, 1},
      {16, 64, 64, 28, 3, 1, 1, 64}};
  for (const Layer& layer : layers)
    for (const Pass pass : {Pass::forward, Pass::backward_input, Pass::backward_weight}) {
      for (const int threads : {1, 2}) {
        const std::string name = layer.name(pass) + "/t" + std::to_string(threads);
        add(
            "conv2d/troupe/" + name,
            [=](benchmark::State& state) { ours<float>(state, layer, pass, threads); },
            threads > 1);
        add(
            "conv2d/troupe_bf16/" + name,
            [=](benchmark::State& state) { ours<BFloat16>(state, layer, pass, threads); },
            threads > 1);
      }
#ifdef TROUPE_BENCH_ONEDNN
      for (const bool any : {false, true})
        for (const bool narrow : {false, true})
          add(
              "conv2d/" + std::string(any ? "onednn_any" : "onednn") + (narrow ? "_bf16/" : "/") +
                  layer.name(pass),
              [=](benchmark::State& state) { onednn(state, layer, pass, any, narrow); },
              true);
#endif
    }
  return true;
}();

}  // namespace
}  // namespace troupe::cpu::bench
