// A trained network's answer, as one who asks waits for it: the images' networks of `troupe train`
// in eval mode, float32, through both doors, for one image and for 128, on one thread and two. Each
// run is asked for when the one before it has been read; `median_us` is the median of their times.

#include "models.hpp"

#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/ops/uniform.hpp>
#include <troupe/tensor/scope.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using Clock = std::chrono::steady_clock;

struct Case {
  std::string model;
  bool program;
  std::int64_t batch;
  unsigned threads;
};

double median(std::vector<double>& times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

void infer(benchmark::State& state, const Case& wanted) {
  System system({.threads = wanted.threads});
  Device& device = cpu::attach(system);
  Scope scope(system, device);
  scope.seed(1);
  cli::RunConfig config;
  config.model = wanted.model;
  const cli::ImageFacts facts{.image = {1, 28, 28}, .class_names = std::vector<std::string>(10)};
  const nn::AnyModule model = cli::make_model(config, facts);
  model.eval();

  const NoGrad frozen;
  const std::vector<Tensor> inputs{rand({wanted.batch, 1, 28, 28})};
  const auto run = [&](std::span<const Tensor> in) { return std::vector<Tensor>{model(in[0])}; };
  CompiledFunction compiled(run);
  const auto once = [&] {
    const Tensor answer = wanted.program ? compiled(inputs)[0] : run(inputs)[0];
    benchmark::DoNotOptimize(answer.to_vector<float>());
  };
  for (int i = 0; i < 20; ++i) once();
  std::vector<double> times_us;
  auto last = Clock::now();
  for (auto _ : state) {
    once();
    const auto now = Clock::now();
    times_us.push_back(std::chrono::duration<double, std::micro>(now - last).count());
    last = now;
  }
  state.counters["median_us"] = median(times_us);
  state.SetItemsProcessed(state.iterations() * wanted.batch);
}

const bool registered = [] {
  for (const char* model : {"cnn", "mlp"})
    for (const bool program : {true, false})
      for (const std::int64_t batch : {1, 128})
        for (const unsigned threads : {1u, 2u}) {
          const Case wanted{model, program, batch, threads};
          const std::string name = "infer/" + wanted.model + "/batch:" + std::to_string(batch) +
                                   (program ? "/program/t" : "/define-by-run/t") +
                                   std::to_string(threads);
          benchmark::RegisterBenchmark(
              name.c_str(), [=](benchmark::State& state) { infer(state, wanted); })
              ->UseRealTime()
              ->Unit(benchmark::kMicrosecond);
        }
  return true;
}();

}  // namespace
