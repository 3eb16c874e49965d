// A training step of the networks that `troupe train` knows, batch 128, float32, Adam: through both
// doors, on one thread and two, traced and not. bench/peers has the same steps in libtorch.

#include "models.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/ops/uniform.hpp>
#include <troupe/tensor/scope.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace {

using namespace troupe;

constexpr std::int64_t batch = 128;

struct Case {
  std::string model;
  bool program;
  unsigned threads;
  bool traced;
};

void step(benchmark::State& state, const Case& wanted) {
  System system({.threads = wanted.threads});
  Device& device = cpu::attach(system);
  Scope scope(system, device);
  scope.seed(1);
  const Shape image{1, 28, 28};
  cli::RunConfig config;
  config.model = wanted.model;
  nn::Task task = cli::make_task(config, image, 10, 1000);

  const Tensor images = rand({batch, 1, 28, 28});
  std::vector<std::int64_t> classes(batch);
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<std::int64_t>(i % 10);
  const Tensor inputs[] = {images, Tensor::copy_of<std::int64_t>(classes, {batch})};
  const auto run = [&](std::span<const Tensor> in) {
    task.optimizer.zero_grad();
    const Tensor loss = cross_entropy(task.model(in[0]), in[1]);
    backward(loss);
    task.optimizer.step();
    return std::vector<Tensor>{loss.detach()};
  };
  CompiledFunction compiled(run);
  const auto once = [&] { return wanted.program ? compiled(inputs)[0] : run(inputs)[0]; };
  // As in a trainer: a loss is read while the next step runs.
  Tensor last = once();
  for (int i = 0; i < 5; ++i) last = once();
  (void)last.item();
  if (wanted.traced) system.tracer().start();
  for (auto _ : state) {
    Tensor next = once();
    benchmark::DoNotOptimize(last.item());
    last = std::move(next);
  }
  (void)last.item();
  state.SetItemsProcessed(state.iterations() * batch);
}

const bool registered = [] {
  for (const char* model : {"cnn", "mlp"})
    for (const bool program : {true, false})
      for (const unsigned threads : {1u, 2u})
        for (const bool traced : {false, true}) {
          const Case wanted{model, program, threads, traced};
          const std::string name = "step/" + wanted.model +
                                   (program ? "/program/t" : "/define-by-run/t") +
                                   std::to_string(threads) + (traced ? "/traced" : "");
          benchmark::RegisterBenchmark(
              name.c_str(), [=](benchmark::State& state) { step(state, wanted); })
              ->UseRealTime()
              ->Unit(benchmark::kMillisecond);
        }
  return true;
}();

}  // namespace
