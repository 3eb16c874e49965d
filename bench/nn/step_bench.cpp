// A training step of the networks that `troupe train` knows: through both doors, on one thread and
// two, traced and not, in float32 and, as a program, with products in bfloat16; and with gradients
// that are clipped, by the updates themselves or before them ("apart"). Images by Adam, 128 in a
// batch; text by AdamW, 8 windows of 128 bytes, of which each counts as an item. bench/peers has
// the same steps in libtorch.

#include "models.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/nn/clip_grad.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/uniform.hpp>
#include <troupe/tensor/scope.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace {

using namespace troupe;

struct Case {
  std::string model;
  bool program;
  unsigned threads;
  bool traced;
  DType products = DType::float32;
  bool clipped = false;
  Passes passes = Passes::all();
};

std::vector<std::int64_t> counting(std::int64_t count, std::int64_t below) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) numbers[static_cast<std::size_t>(i)] = i % below;
  return numbers;
}

/// A batch's inputs and labels.
std::vector<Tensor> batch_of(const cli::RunConfig& config) {
  if (config.model != "gpt")
    return {rand({128, 1, 28, 28}), Tensor::copy_of<std::int64_t>(counting(128, 10), {128})};
  const Shape shape{8, config.context};
  const auto bytes = counting(elements_in(shape), 256);
  return {Tensor::copy_of<std::int64_t>(bytes, shape), Tensor::copy_of<std::int64_t>(bytes, shape)};
}

void step(benchmark::State& state, const Case& wanted) {
  System system({.threads = wanted.threads});
  Device& device = cpu::attach(system);
  Scope scope(system, device);
  scope.seed(1);
  cli::RunConfig config;
  config.model = wanted.model;
  cli::DataFacts facts = cli::TextFacts{};
  if (config.model == "gpt")
    config.optimizer = "adamw";
  else
    facts = cli::ImageFacts{.image = {1, 28, 28}, .class_names = std::vector<std::string>(10)};
  nn::Task task = cli::make_task(config, facts, 1000);

  const std::vector<Tensor> inputs = batch_of(config);
  const auto run = [&](std::span<const Tensor> in) {
    const Autocast products(wanted.products);
    task.optimizer.zero_grad();
    const Tensor scores = task.model(in[0]);
    const Tensor loss = cross_entropy(reshape(scores, {-1, scores.size(-1)}), reshape(in[1], {-1}));
    backward(loss);
    if (wanted.clipped) (void)nn::clip_grad_norm_(task.model.parameters(), 1);
    task.optimizer.step();
    return std::vector<Tensor>{loss.detach()};
  };
  CompiledFunction compiled(run, {.passes = wanted.passes});
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
  state.SetItemsProcessed(state.iterations() * inputs[1].elements());
}

void add(const Case& wanted) {
  const std::string name =
      "step/" + wanted.model + (wanted.program ? "/program" : "/define-by-run") +
      (wanted.products == DType::bfloat16 ? "/bf16" : "") + (wanted.clipped ? "/clipped" : "") +
      (wanted.passes.contains(Pass::updates) ? "/t" : "/apart/t") + std::to_string(wanted.threads) +
      (wanted.traced ? "/traced" : "");
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { step(state, wanted); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

const bool registered = [] {
  for (const char* model : {"cnn", "mlp", "gpt"})
    for (const unsigned threads : {1u, 2u}) {
      for (const bool program : {true, false})
        for (const bool traced : {false, true}) add({model, program, threads, traced});
      add({model, true, threads, false, DType::bfloat16});
      for (const DType products : {DType::float32, DType::bfloat16})
        for (const Passes passes : {Passes::all(), Passes::all().without(Pass::updates)})
          add({model, true, threads, false, products, true, passes});
    }
  return true;
}();

}  // namespace
