// What an op costs besides its arithmetic: recorded calls, chains forward and backward, and the
// same chain as a program. Nanoseconds an op; bench/peers has the same cases in libtorch.

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>
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
      static_cast<double>(state.iterations()) * ops * 1e-9,
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
  // Node and cell in one block of the pool, the record with two edges and one output in another.
  state.counters["bytes"] = sizeof(ActorCell) + sizeof(Node) + sizeof(Record) + 2 * sizeof(Edge) +
                            sizeof(Ref<SharedMeta>);
}

/// A node that waits for its input, gets it as a message, runs, and goes.
void node_spawn_run_retire(benchmark::State& state) {
  Setup setup;
  const Tensor a = ones(1);
  const Value value = a.value();
  for (auto _ : state) {
    const Awaiting awaiting = make_awaiting(setup.device, a.meta(), nullptr, 0, Where{});
    Address<Input>(awaiting.cell).send(Input{0, value});
    setup.system.run_ready();
  }
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

/// The chain as a program, whose parameter gets a gradient if it goes back; compiled or as
/// captured.
void program_chain(benchmark::State& state, bool back, Passes passes) {
  Setup setup;
  Parameter a(ones(state.range(0)));
  const Tensor b = ones(state.range(0));
  const Meta meta = b.meta();
  Program program = Program::capture(
      [&](std::span<const Tensor> in) {
        a.zero_grad();
        Tensor y = a.tensor();
        for (int i = 0; i < chain_length; ++i) y = y * in[0];
        if (!back) return std::vector<Tensor>{y};
        backward(y, ones(state.range(0)));
        return std::vector<Tensor>{y, a.grad()};
      },
      std::span(&meta, 1),
      {.passes = passes});
  for (auto _ : state) benchmark::DoNotOptimize(program.run(std::span(&b, 1))[0].value());
  per_op(state, chain_length);
}
void program_chain_forward(benchmark::State& state) { program_chain(state, false, Passes::all()); }
void program_chain_forward_as_captured(benchmark::State& state) {
  program_chain(state, false, Passes::none());
}
void program_chain_forward_backward(benchmark::State& state) {
  program_chain(state, true, Passes::all());
}

/// Passes and tables for a graph of so many ops: seconds of capture, less those of a capture
/// without passes, are what the compiler takes.
void program_compile(benchmark::State& state) {
  Setup setup;
  const Meta meta{DType::float32, {16, 16}};
  for (auto _ : state) {
    const Program program = Program::capture(
        [&](std::span<const Tensor> in) {
          Tensor y = in[0];
          for (std::int64_t i = 0; i < state.range(0) / 4; ++i) y = softmax(y * y + 0.5, 1);
          return std::vector<Tensor>{y};
        },
        std::span(&meta, 1));
    benchmark::DoNotOptimize(program.op_count());
  }
}

BENCHMARK(mul_not_recorded)->Arg(1)->Arg(16)->Arg(1024);
BENCHMARK(mul_recorded)->Arg(1)->Arg(16)->Arg(1024);
BENCHMARK(node_spawn_run_retire);
BENCHMARK(chain_forward)->Arg(16);
BENCHMARK(chain_forward_backward)->Arg(1)->Arg(16);
BENCHMARK(program_chain_forward)->Arg(16);
BENCHMARK(program_chain_forward_as_captured)->Arg(16);
BENCHMARK(program_chain_forward_backward)->Arg(16);
BENCHMARK(program_compile)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
