// What bench/autograd, bench/cpu and bench/nn measure of Troupe, measured of libtorch: the price of
// an op, ops that one pass over memory could compute, and training steps. The names are the same,
// but for what stands in front.

#include <ATen/autocast_mode.h>
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <functional>
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

/// What is timed of an op, made for a number of rows of 1,024 floats.
using OnePass = std::function<std::function<void()>(std::int64_t rows)>;

/// An op and its gradient by autograd, all but the last of them into memory that is there already.
template <class Forward>
OnePass both(Forward forward) {
  return [=](std::int64_t rows) {
    torch::Tensor x = torch::rand({rows, 1024}).requires_grad_(true);
    const torch::Tensor seed = torch::rand_like(forward(x).detach());
    return [=]() mutable {
      x.mutable_grad() = torch::Tensor();
      forward(x).backward(seed);
    };
  };
}

std::vector<std::pair<std::string, OnePass>> one_passes() {
  using torch::Tensor;
  const auto unary = [](auto op) -> OnePass {
    return [=](std::int64_t rows) {
      const Tensor x = torch::rand({rows, 1024}) * 2 - 1;
      Tensor y = torch::empty_like(x);
      return [=]() mutable { op(y, x); };
    };
  };
  return {
      {"tanh", unary([](Tensor& y, const Tensor& x) { at::tanh_out(y, x); })},
      {"gelu", unary([](Tensor& y, const Tensor& x) { at::gelu_out(y, x); })},
      {"gelu_tanh", unary([](Tensor& y, const Tensor& x) { at::gelu_out(y, x, "tanh"); })},
      {"bias_gelu",
       [](std::int64_t rows) {
         const Tensor x = torch::rand({rows, 1024}), bias = torch::rand({1024});
         return [=] { benchmark::DoNotOptimize(at::gelu(x + bias)); };
       }},
      {"transpose",
       [](std::int64_t rows) {
         const auto side = static_cast<std::int64_t>(std::sqrt(static_cast<double>(rows * 1024)));
         const Tensor x = torch::rand({side, side});
         Tensor y = torch::empty_like(x);
         return [=]() mutable { y.copy_(x.t()); };
       }},
      {"softmax_both", both([](const Tensor& x) { return torch::softmax(x, 1); })},
      {"layer_norm_both",
       [](std::int64_t rows) {
         Tensor weight = torch::ones({1024}).requires_grad_(true);
         Tensor bias = torch::zeros({1024}).requires_grad_(true);
         return both([=](const Tensor& x) { return torch::layer_norm(x, {1024}, weight, bias); })(
             rows);
       }},
      {"cross_entropy_both",
       [](std::int64_t rows) {
         const Tensor classes = torch::randint(1024, {rows});
         return both([=](const Tensor& x) {
           return torch::nn::functional::cross_entropy(x, classes);
         })(rows);
       }},
      {"adamw", [](std::int64_t rows) {
         const Tensor p = torch::rand({rows, 1024}), g = torch::rand({rows, 1024});
         const Tensor m = torch::rand({rows, 1024}), v = torch::rand({rows, 1024});
         const Tensor steps = torch::ones({});
         return [=] {
           const std::vector<Tensor> of_p{p}, of_g{g}, of_m{m}, of_v{v}, of_steps{steps};
           at::_fused_adamw_(
               of_p, of_g, of_m, of_v, {}, of_steps, 1e-3, 0.9, 0.999, 0.01, 1e-8, false, false);
         };
       }}};
}

void add_one_passes() {
  for (const auto& [name, make] : one_passes())
    for (const std::int64_t millions : {1, 16})
      for (const int threads : {1, 2})
        benchmark::RegisterBenchmark(
            ("libtorch/onepass/" + name + "/" + std::to_string(millions) + "M/t" +
             std::to_string(threads))
                .c_str(),
            [=, make = make](benchmark::State& state) {
              at::set_num_threads(threads);
              const auto run = make(millions * 1024);
              run();
              for (auto _ : state) run();
            })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
}

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

/// Steps of a model on one batch, whose labels are counted; products in bfloat16 if wanted, by
/// autocast.
template <class Model, class Optimizer>
void run_steps(
    benchmark::State& state,
    Model& model,
    Optimizer& optimizer,
    const torch::Tensor& inputs,
    const torch::Tensor& labels,
    bool bfloat16) {
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const auto once = [&] {
    optimizer.zero_grad();
    at::autocast::set_autocast_enabled(at::kCPU, bfloat16);
    const torch::Tensor scores = model.forward(inputs);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    const torch::Tensor loss = torch::nn::functional::cross_entropy(
        scores.flatten(0, scores.dim() - 2).to(torch::kFloat32), labels.flatten());
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

/// `channels_last`: images and their weights lie as [N, H, W, C], which oneDNN's convolutions take
/// as they are.
void step(
    benchmark::State& state,
    const std::string& name,
    int threads,
    bool bfloat16,
    bool channels_last) {
  at::set_num_threads(threads);
  torch::manual_seed(1);
  if (name == "gpt") {
    Gpt model;
    torch::optim::AdamW optimizer(model.parameters(), torch::optim::AdamWOptions(1e-3));
    const torch::Tensor bytes = torch::arange(8 * context).view({8, context}) % vocabulary;
    return run_steps(state, model, optimizer, bytes, bytes, bfloat16);
  }
  torch::nn::Sequential model = make_model(name);
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-3));
  torch::Tensor images = torch::rand({batch, 1, 28, 28});
  if (channels_last) {
    const auto turned = [](const torch::Tensor& tensor) {
      return tensor.contiguous(at::MemoryFormat::ChannelsLast);
    };
    images = turned(images);
    for (torch::Tensor& parameter : model->parameters())
      if (parameter.dim() == 4) parameter.set_data(turned(parameter));
  }
  run_steps(state, *model, optimizer, images, torch::arange(batch) % 10, bfloat16);
}

}  // namespace

int main(int argc, char** argv) {
  add_one_passes();
  for (const char* model : {"cnn", "mlp", "gpt"})
    for (const bool bfloat16 : {false, true})
      for (const bool channels_last : {false, true})
        for (const int threads : {1, 2}) {
          if (channels_last && model != std::string("cnn")) continue;
          const std::string name =
              "libtorch/step/" + std::string(model) + (bfloat16 ? "/bf16" : "") +
              (channels_last ? "/channels_last" : "") + "/t" + std::to_string(threads);
          benchmark::RegisterBenchmark(
              name.c_str(),
              [=](benchmark::State& state) {
                step(state, model, threads, bfloat16, channels_last);
              })
              ->UseRealTime()
              ->Unit(benchmark::kMillisecond);
        }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
