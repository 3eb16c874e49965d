// What an op costs besides its arithmetic: recorded calls, chains forward and backward, and the
// same chain as a program. Nanoseconds an op; libtorch's figures for the same cases come from
// bench/peers when it is found.

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/scope.hpp>

#include <benchmark/benchmark.h>

#include <vector>

namespace {

using namespace troupe;

constexpr int chain_length = 1000;

struct Setup {
  Setup() : system({.threads = 1}), device(cpu::attach(system)), scope(system) {}
  System system;
  Device& device;
  Scope scope;
};

Tensor ones(std::int64_t n) {
  return Tensor::copy_of<float>(std::vector<float>(static_cast<std::size_t>(n), 1.0f), {n});
}

void per_op(benchmark::State& state, int ops) {
  state.counters["ns_per_op"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * ops,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void mul_not_recorded(benchmark::State& state) {
  Setup setup;
  const Tensor a = ones(state.range(0)), b = ones(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(a * b);
  per_op(state, 1);
}

void mul_recorded(benchmark::State& state) {
  Setup setup;
  const Tensor a = requires_grad(ones(state.range(0))), b = requires_grad(ones(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(a * b);
  per_op(state, 1);
}

void chain_forward(benchmark::State& state) {
  Setup setup;
  const Tensor a = requires_grad(ones(state.range(0))), b = ones(state.range(0));
  for (auto _ : state) {
    Tensor y = a;
    for (int i = 0; i < chain_length; ++i) y = y * b;
    benchmark::DoNotOptimize(y);
  }
  per_op(state, chain_length);
}

void chain_forward_backward(benchmark::State& state) {
  Setup setup;
  const Tensor a = requires_grad(ones(state.range(0))), b = ones(state.range(0));
  for (auto _ : state) {
    Tensor y = a;
    for (int i = 0; i < chain_length; ++i) y = y * b;
    backward(y, ones(state.range(0)));
    benchmark::DoNotOptimize(grad_of(a));
  }
  per_op(state, chain_length);
}

void program_chain_forward(benchmark::State& state) {
  Setup setup;
  const Tensor a = ones(state.range(0)), b = ones(state.range(0));
  const Meta metas[] = {a.meta(), b.meta()};
  Program program = Program::capture(
      [](std::span<const Tensor> in) {
        Tensor y = in[0];
        for (int i = 0; i < chain_length; ++i) y = y * in[1];
        return std::vector<Tensor>{y};
      },
      metas);
  const Tensor inputs[] = {a, b};
  for (auto _ : state) benchmark::DoNotOptimize(program.run(inputs)[0].value());
  per_op(state, chain_length);
}

BENCHMARK(mul_not_recorded)->Arg(1)->Arg(16)->Arg(1024);
BENCHMARK(mul_recorded)->Arg(1)->Arg(16)->Arg(1024);
BENCHMARK(chain_forward)->Arg(16);
BENCHMARK(chain_forward_backward)->Arg(1)->Arg(16);
BENCHMARK(program_chain_forward)->Arg(16);

}  // namespace

BENCHMARK_MAIN();
