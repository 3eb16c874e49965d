// What it costs to have half of a model on a peer: training steps of an MLP (784, 512, 512, 10;
// batch 128) whose two last layers are on the device of another system, over TCP on this machine.
// Each side has one thread. Run with --benchmark_repetitions to see medians.

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/cluster/device_host.hpp>
#include <troupe/cluster/messages.hpp>
#include <troupe/cluster/remote_device.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/net/network.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/loss.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/tensor/scope.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace troupe {
namespace {

net::NetworkOptions options_of(const char* node) {
  net::NetworkOptions options{.node = node};
  options.messages.push_back(&cluster::find_message);
  return options;
}

/// A system with a processor to lend, run by a thread of its own.
struct Lender {
  Lender() {
    cpu::attach(system);
    system.pending_outside(1);
    runner = std::thread([this] { system.wait_until([this] { return ended.load(); }, "the end"); });
  }
  ~Lender() {
    network.stop();
    ended = true;
    system.notify_waiters();
    runner.join();
    system.pending_outside(-1);
  }

  System system{{.threads = 1}};
  net::Network& network = net::attach(system, options_of("there"));
  cluster::DeviceHost host{system, network};
  std::atomic<bool> ended{false};
  std::thread runner;
};

enum class Half { here, there };
enum class Door { program, define_by_run };

void mlp_step(benchmark::State& state, Half half, Door door) {
  constexpr std::int64_t batch = 128;
  Lender lender;
  System system({.threads = 1});
  Device& here = cpu::attach(system);
  const Scope scope(system, here);
  net::Network& network = net::attach(system, options_of("here"));
  (void)network.connect(lender.network.listen({"127.0.0.1", 0})).get();

  const nn::Sequential model{
      nn::Linear(784, 512), nn::ReLU(), nn::Linear(512, 512), nn::ReLU(), nn::Linear(512, 10)};
  nn::place(model, here);
  if (half == Half::there)
    for (const std::size_t i : {std::size_t{2}, std::size_t{3}, std::size_t{4}})
      cluster::place(model[i], network, "there", "cpu");
  const optim::Adam adam(model.parameters());
  nn::CrossEntropyLoss loss_of;
  const GraphFunction step = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    optim::Optimizer optimizer = adam;
    optimizer.zero_grad();
    const Tensor loss = loss_of(to(model(in[0]), here), in[1]);
    backward(loss);
    optimizer.step();
    return {loss};
  };
  std::optional<CompiledFunction> program;
  if (door == Door::program) program.emplace(step);
  const std::vector<float> pixels(batch * 784, 0.5F);
  const std::vector<std::int64_t> classes(batch, 3);
  const std::vector<Tensor> in{
      Tensor::copy_of<float>(pixels, {batch, 784}),
      Tensor::copy_of<std::int64_t>(classes, {batch})};
  const auto run = [&] { return (program ? (*program)(in) : step(in))[0].item<float>(); };
  for (int i = 0; i < 3; ++i) benchmark::DoNotOptimize(run());
  const std::uint64_t launches = lender.host.counters().launches;
  for (auto _ : state) benchmark::DoNotOptimize(run());
  state.counters["launches_there"] =
      static_cast<double>(lender.host.counters().launches - launches) /
      static_cast<double>(state.iterations());
}
BENCHMARK_CAPTURE(mlp_step, here_program, Half::here, Door::program)->UseRealTime();
BENCHMARK_CAPTURE(mlp_step, half_there_program, Half::there, Door::program)->UseRealTime();
BENCHMARK_CAPTURE(mlp_step, here_define_by_run, Half::here, Door::define_by_run)->UseRealTime();
BENCHMARK_CAPTURE(mlp_step, half_there_define_by_run, Half::there, Door::define_by_run)
    ->UseRealTime();

}  // namespace
}  // namespace troupe
