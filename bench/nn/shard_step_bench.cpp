// A training step of the networks that `troupe train` knows, as its trainer captures it, with the
// batch in one piece and cut into 2, 4 and 8 logical shards, on one thread and two. Images by Adam,
// 128 in a batch; text by AdamW, 8 windows of 128 bytes, of which each counts as an item.

#include "models.hpp"

#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/ops/randint.hpp>
#include <troupe/tensor/ops/uniform.hpp>
#include <troupe/tensor/scope.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace {

using namespace troupe;

void step(benchmark::State& state, const std::string& model, unsigned threads, std::int64_t of) {
  System system({.threads = threads});
  Device& device = cpu::attach(system);
  Scope scope(system, device);
  scope.seed(1);
  cli::RunConfig config;
  config.model = model;
  cli::DataFacts facts = cli::TextFacts{};
  if (model == "gpt")
    config.optimizer = "adamw";
  else
    facts = cli::ImageFacts{.image = {1, 28, 28}, .class_names = std::vector<std::string>(10)};
  const Shape text{8, config.context};
  const std::vector<Tensor> inputs =
      model == "gpt" ? std::vector<Tensor>{randint(256, text), randint(256, text)}
                     : std::vector<Tensor>{rand({128, 1, 28, 28}), randint(10, {128})};

  nn::Trainer trainer(cli::make_task(config, facts, 1000), {.shards = {.of = of}});
  Program program =
      trainer.capture_training_step(std::vector<Meta>{inputs[0].meta(), inputs[1].meta()});
  // As in a trainer: a loss is read while the next step runs.
  Tensor last = program.run(inputs)[0];
  for (int i = 0; i < 5; ++i) last = program.run(inputs)[0];
  (void)last.item();
  for (auto _ : state) {
    Tensor next = program.run(inputs)[0];
    benchmark::DoNotOptimize(last.item());
    last = std::move(next);
  }
  (void)last.item();
  state.SetItemsProcessed(state.iterations() * inputs[1].elements());
}

const bool registered = [] {
  for (const char* model : {"cnn", "mlp", "gpt"})
    for (const unsigned threads : {1u, 2u})
      for (const std::int64_t of : {1, 2, 4, 8}) {
        const std::string name = std::string("shard_step/") + model + "/t" +
                                 std::to_string(threads) + "/shards" + std::to_string(of);
        benchmark::RegisterBenchmark(
            name.c_str(), [=](benchmark::State& state) { step(state, model, threads, of); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
  return true;
}();

}  // namespace
