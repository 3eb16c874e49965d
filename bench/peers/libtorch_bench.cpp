// What bench/autograd and bench/nn measure of Troupe, measured of libtorch: the price of an op, and
// training steps. The names are the same, but for what stands in front.

#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

constexpr std::int64_t width = 256;
constexpr std::int64_t heads = 4;
constexpr std::int64_t context = 128;
constexpr std::int64_t vocabulary = 256;

struct Block : torch::nn::Module {
  torch::nn::LayerNorm ln_1{torch::nn::LayerNormOptions({width})};
  torch::nn::Linear c_attn{width, 3 * width};
  torch::nn::Linear attn_proj{width, width};
  torch::nn::LayerNorm ln_2{torch::nn::LayerNormOptions({width})};
  torch::nn::Linear c_fc{width, 4 * width};
  torch::nn::Linear c_proj{4 * width, width};

  Block() {
    register_module("ln_1", ln_1);
    register_module("c_attn", c_attn);
    register_module("attn_proj", attn_proj);
    register_module("ln_2", ln_2);
    register_module("c_fc", c_fc);
    register_module("c_proj", c_proj);
  }
  torch::Tensor forward(torch::Tensor x) {
    const auto by_head = [&](const torch::Tensor& part) {
      return part.view({x.size(0), x.size(1), heads, width / heads}).transpose(1, 2);
    };
    const auto parts = c_attn(ln_1(x)).chunk(3, 2);
    const torch::Tensor attended = at::scaled_dot_product_attention(
        by_head(parts[0]), by_head(parts[1]), by_head(parts[2]), {}, 0, /*is_causal=*/true);
    x = x + attn_proj(attended.transpose(1, 2).reshape(x.sizes()));
    return x + c_proj(torch::gelu(c_fc(ln_2(x)), "tanh"));
  }
};

struct Gpt : torch::nn::Module {
  torch::nn::Embedding wte{vocabulary, width};
  torch::nn::Embedding wpe{context, width};
  std::vector<std::shared_ptr<Block>> h;
  torch::nn::LayerNorm ln_f{torch::nn::LayerNormOptions({width})};

  Gpt() {
    register_module("wte", wte);
    register_module("wpe", wpe);
    for (int i = 0; i < 4; ++i)
      h.push_back(register_module("h_" + std::to_string(i), std::make_shared<Block>()));
    register_module("ln_f", ln_f);
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : parameters())
      if (parameter.dim() == 2) parameter.normal_(0, 0.02);
  }
  torch::Tensor forward(const torch::Tensor& tokens) {
    torch::Tensor x = wte(tokens) + wpe->weight;
    for (const auto& block : h) x = block->forward(x);
    return torch::linear(ln_f(x), wte->weight);  // tied
  }
};

/// Steps of a model on one batch, whose labels are counted.
template <class Model, class Optimizer>
void run_steps(
    benchmark::State& state,
    Model& model,
    Optimizer& optimizer,
    const torch::Tensor& inputs,
    const torch::Tensor& labels) {
  const auto once = [&] {
    optimizer.zero_grad();
    const torch::Tensor scores = model.forward(inputs);
    const torch::Tensor loss =
        torch::nn::functional::cross_entropy(scores.flatten(0, scores.dim() - 2), labels.flatten());
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
  state.SetItemsProcessed(state.iterations() * labels.numel());
}

void step(benchmark::State& state, const std::string& name, int threads) {
  at::set_num_threads(threads);
  torch::manual_seed(1);
  if (name == "gpt") {
    Gpt model;
    torch::optim::AdamW optimizer(model.parameters(), torch::optim::AdamWOptions(1e-3));
    const torch::Tensor bytes = torch::arange(8 * context).view({8, context}) % vocabulary;
    return run_steps(state, model, optimizer, bytes, bytes);
  }
  torch::nn::Sequential model = make_model(name);
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-3));
  const torch::Tensor images = torch::rand({batch, 1, 28, 28});
  run_steps(state, *model, optimizer, images, torch::arange(batch) % 10);
}

}  // namespace

int main(int argc, char** argv) {
  for (const char* model : {"cnn", "mlp", "gpt"})
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
