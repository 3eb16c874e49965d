// What bench/autograd and bench/nn measure of Troupe, measured of libtorch: the price of an op, and
// training steps. The names are the same, but for what stands in front.

#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>

namespace {

constexpr std::int64_t chain_length = 1000;
constexpr std::int64_t batch = 128;

void per_op(benchmark::State& state, std::int64_t ops) {
  state.counters["ns_per_op"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(ops) * 1e-9,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void mul_recorded(benchmark::State& state) {
  at::set_num_threads(1);
  const torch::Tensor a = torch::ones({state.range(0)}).requires_grad_(true);
  const torch::Tensor b = torch::ones({state.range(0)}).requires_grad_(true);
  for (auto _ : state) benchmark::DoNotOptimize(a * b);
  per_op(state, 1);
}
BENCHMARK(mul_recorded)->Name("libtorch/mul_recorded")->Arg(16);

void chain_forward_backward(benchmark::State& state) {
  at::set_num_threads(1);
  torch::Tensor a = torch::ones({state.range(0)}).requires_grad_(true);
  const torch::Tensor b = torch::ones({state.range(0)});
  const torch::Tensor seed = torch::ones({state.range(0)});
  for (auto _ : state) {
    torch::Tensor y = a;
    for (std::int64_t i = 0; i < chain_length; ++i) y = y * b;
    a.mutable_grad() = torch::Tensor();
    y.backward(seed);
    benchmark::DoNotOptimize(a.grad());
  }
  per_op(state, chain_length);
}
BENCHMARK(chain_forward_backward)->Name("libtorch/chain_forward_backward")->Arg(16);

torch::nn::Sequential make_model(const std::string& name) {
  using namespace torch::nn;
  if (name == "mlp")
    return Sequential(
        Flatten(), Linear(784, 512), ReLU(), Linear(512, 512), ReLU(), Linear(512, 10));
  return Sequential(
      Conv2d(Conv2dOptions(1, 32, 3).padding(1)),
      ReLU(),
      MaxPool2d(2),
      Conv2d(Conv2dOptions(32, 64, 3).padding(1)),
      ReLU(),
      MaxPool2d(2),
      Flatten(),
      Linear(64 * 7 * 7, 128),
      ReLU(),
      Linear(128, 10));
}

void step(benchmark::State& state, const std::string& name, int threads) {
  at::set_num_threads(threads);
  torch::manual_seed(1);
  torch::nn::Sequential model = make_model(name);
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-3));
  const torch::Tensor images = torch::rand({batch, 1, 28, 28});
  const torch::Tensor labels = torch::arange(batch) % 10;
  const auto once = [&] {
    optimizer.zero_grad();
    const torch::Tensor loss = torch::nn::functional::cross_entropy(model->forward(images), labels);
    loss.backward();
    optimizer.step();
    return loss;
  };
  torch::Tensor last = once();
  for (int i = 0; i < 5; ++i) last = once();
  for (auto _ : state) {
    last = once();
    benchmark::DoNotOptimize(last.item<float>());
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

}  // namespace

int main(int argc, char** argv) {
  for (const char* model : {"cnn", "mlp"})
    for (const int threads : {1, 2}) {
      const std::string name =
          "libtorch/step/" + std::string(model) + "/t" + std::to_string(threads);
      benchmark::RegisterBenchmark(
          name.c_str(), [=](benchmark::State& state) { step(state, model, threads); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
