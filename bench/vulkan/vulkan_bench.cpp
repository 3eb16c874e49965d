// The Vulkan backend beside the CPU backend: kernels by themselves, what an op costs besides its
// arithmetic, and training steps. On any device, a GPU or a processor that plays one.
//
//     TROUPE_BENCH_DEVICE=vulkan:1   which; the first where it is not set
//     TROUPE_CACHE=FOLDER            where compiled shaders are kept between runs
//     TROUPE_VULKAN_TUNING=WORD      off, deterministic or free; not set: the device's default
//
// Kernels are timed a handful at a time, so that waiting for the device is spread over them.

#include "models.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/vulkan/vulkan.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

unsigned device_index() {
  const char* name = std::getenv("TROUPE_BENCH_DEVICE");
  const std::string_view prefix = "vulkan:";
  if (!name || !std::string_view(name).starts_with(prefix)) return 0;
  return static_cast<unsigned>(std::strtoul(name + prefix.size(), nullptr, 10));
}

vulkan::Options options() {
  vulkan::Options options;
  if (const char* folder = std::getenv("TROUPE_CACHE")) options.cache_folder = folder;
  if (const char* tuning = std::getenv("TROUPE_VULKAN_TUNING"))
    options.tuning = vulkan::tuning_named(tuning);
  return options;
}

/// Both devices on a system of so many threads, made once: a GPU's driver takes long to start.
struct Machine {
  explicit Machine(unsigned threads)
      : system({.threads = threads}),
        cpu(cpu::attach(system)),
        gpu(vulkan::attach(system, device_index(), options())) {}

  static Machine& of(unsigned threads) {
    std::unique_ptr<Machine>& machine = made()[threads];
    if (!machine) machine = std::make_unique<Machine>(threads);
    return *machine;
  }
  /// Before main returns: behind it drivers take themselves apart.
  static void close_all() {
    for (std::unique_ptr<Machine>& machine : made()) machine.reset();
  }

  System system;
  Device& cpu;
  Device& gpu;

 private:
  static std::array<std::unique_ptr<Machine>, 3>& made() {
    static std::array<std::unique_ptr<Machine>, 3> machines;
    return machines;
  }
};

enum class On { cpu, gpu };

/// Runs what is to be measured until pipelines are made and, in a process's first run of it on a
/// GPU, tiles are tuned.
template <class Run>
void settle(const std::string& what, const Run& run) {
  static std::set<std::string> settled;
  const bool first = settled.insert(what).second;
  const auto begin = Clock::now();
  do {
    run();
  } while (seconds_since(begin) < (first ? 2 : 0));
}

/// One op on memory of its own, launched again and again.
class Kernel {
 public:
  Kernel(Machine& machine, On on, OpRef op, const std::vector<Meta>& inputs)
      : system_(machine.system),
        device_(on == On::cpu ? machine.cpu : machine.gpu),
        op_(std::move(op)) {
    for (const Meta& meta : inputs) {
      // No zeros: processors are quick with them. The same for all who measure.
      std::vector<std::byte> bytes(meta.bytes());
      if (meta.dtype == DType::float32) {
        auto* numbers = reinterpret_cast<float*>(bytes.data());
        for (std::int64_t i = 0; i < meta.elements(); ++i)
          numbers[i] = 0.25f + static_cast<float>(i % 61) / 64;
      } else if (meta.dtype == DType::float16 || meta.dtype == DType::bfloat16) {
        auto* bits = reinterpret_cast<std::uint16_t*>(bytes.data());
        const int quarter = meta.dtype == DType::float16 ? 0x3400 : 0x3e80;
        for (std::int64_t i = 0; i < meta.elements(); ++i)
          bits[i] = static_cast<std::uint16_t>(quarter + i % 61);
      } else {
        auto* numbers = reinterpret_cast<double*>(bytes.data());
        for (std::int64_t i = 0; i < meta.elements(); ++i) numbers[i] = i == 0 ? 1e-3 : 1;
      }
      inputs_.push_back(device_.upload(meta, bytes));
    }
    Metas metas;
    op_->info().infer(op_->attributes(), inputs, metas);
    for (const Meta& meta : metas)
      outputs_.push_back(ValueBody::make(meta, device_.allocate(meta.bytes())));
  }

  void run(int times) {
    Ticket ticket;
    for (int i = 0; i < times; ++i) {
      ticket = device_.launch({op_.get(), inputs_, outputs_, 0, 0});
      if (ticket) system_.wait_until([&] { return ticket->complete(); }, "a kernel");
    }
    // On a GPU all went to one queue: what is read must wait for the last of them.
    const Value& out = outputs_.front();
    const Value first = ValueBody::view(out, {out->dtype(), {1}}, {1}, 0);
    std::byte bytes[8];
    device_.download(first, std::span<std::byte>(bytes, size_of(out->dtype())));
  }

 private:
  System& system_;
  Device& device_;
  OpRef op_;
  std::vector<Value> inputs_;
  std::vector<Value> outputs_;
};

/// @param work  of one launch: floating-point operations or bytes
void kernel(
    benchmark::State& state,
    const std::string& name,
    On on,
    const std::function<OpRef()>& op,
    const std::vector<Meta>& inputs,
    int times,
    double work,
    const char* rate) {
  Machine& machine = Machine::of(2);
  const Scope scope(machine.system);
  Kernel kernel(machine, on, op(), inputs);
  settle(name, [&] { kernel.run(2); });
  for (auto _ : state) kernel.run(times);
  state.counters[rate] = benchmark::Counter(
      work * 1e-9 * times * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

constexpr int chain_length = 1000;

void per_op(benchmark::State& state, const char* unit, double seconds_to_unit) {
  state.counters[unit] = benchmark::Counter(
      static_cast<double>(state.iterations()) * chain_length / seconds_to_unit,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

Tensor ones(std::int64_t n) {
  return Tensor::copy_of<float>(std::vector<float>(static_cast<std::size_t>(n), 1.0f), {n});
}

/// From the call to the value: what each of a chain of ops costs where none can overlap.
void program_tiny_ops(benchmark::State& state) {
  Machine& machine = Machine::of(1);
  const Scope scope(machine.system, machine.gpu);
  const Tensor a = ones(16), b = ones(16);
  const Meta metas[] = {a.meta(), b.meta()};
  Program program = Program::capture(
      [](std::span<const Tensor> in) {
        Tensor y = in[0];
        for (int i = 0; i < chain_length; ++i) y = y * in[1];
        return std::vector<Tensor>{y};
      },
      metas);
  const Tensor inputs[] = {a, b};
  settle("tiny", [&] { (void)program.run(inputs)[0].to_vector<float>(); });
  for (auto _ : state) benchmark::DoNotOptimize(program.run(inputs)[0].to_vector<float>());
  per_op(state, "us_per_op", 1e6);
}

/// A loss of four million elements and its sum, as one dispatch or as two.
void program_fold(benchmark::State& state, bool joined) {
  Machine& machine = Machine::of(1);
  const Scope scope(machine.system, machine.gpu);
  const Meta meta{DType::float32, {4096, 1024}};
  const Meta metas[] = {meta, meta};
  const Tensor inputs[] = {rand(meta.shape), rand(meta.shape)};
  Program program = Program::capture(
      [](std::span<const Tensor> in) -> std::vector<Tensor> {
        return {sum(square(in[0] - in[1]))};
      },
      metas,
      {.passes = joined ? Passes::all() : Passes::all().without(Pass::reductions)});
  const auto once = [&] { (void)program.run(inputs)[0].item(); };
  settle("fold", once);
  for (auto _ : state) once();
  state.counters["GB/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(meta.bytes()), benchmark::Counter::kIsIterationInvariantRate);
}

/// What the calling thread spends on a recorded call, sending it to the queue included; not what
/// the device spends.
void recorded_op_host(benchmark::State& state) {
  Machine& machine = Machine::of(2);
  const Scope scope(machine.system, machine.gpu);
  const Tensor a = requires_grad(ones(16)), b = ones(16);
  for (auto _ : state) {
    Tensor y = a;
    const auto begin = Clock::now();
    for (int i = 0; i < chain_length; ++i) y = y * b;
    state.SetIterationTime(seconds_since(begin));
    benchmark::DoNotOptimize(y.to_vector<float>());
  }
  per_op(state, "ns_per_op", 1e9);
}

constexpr std::int64_t batch = 128;

/// A training step of a network that `troupe train` knows; as in bench/nn.
class Step {
 public:
  Step(const std::string& model, bool program) : task_(make(model)), program_(program) {
    std::vector<float> pixels(static_cast<std::size_t>(batch * 28 * 28));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 255) / 255;
    std::vector<std::int64_t> classes(batch);
    for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<std::int64_t>(i % 10);
    inputs_.push_back(Tensor::copy_of<float>(pixels, {batch, 1, 28, 28}));
    inputs_.push_back(Tensor::copy_of<std::int64_t>(classes, {batch}));
  }

  Tensor loss() { return program_ ? compiled_(inputs_)[0] : run(inputs_)[0]; }

 private:
  static nn::Task make(const std::string& model) {
    cli::RunConfig config;
    config.model = model;
    const cli::ImageFacts facts{.image = {1, 28, 28}, .class_names = std::vector<std::string>(10)};
    return cli::make_task(config, facts, 1000);
  }
  std::vector<Tensor> run(std::span<const Tensor> in) {
    task_.optimizer.zero_grad();
    const Tensor loss = cross_entropy(task_.model(in[0]), in[1]);
    backward(loss);
    task_.optimizer.step();
    return {loss.detach()};
  }

  nn::Task task_;
  bool program_;
  std::vector<Tensor> inputs_;
  CompiledFunction compiled_{[this](std::span<const Tensor> in) { return run(in); }};
};

void training_step(benchmark::State& state, On on, const std::string& model, bool program) {
  Machine& machine = Machine::of(2);
  Scope scope(machine.system, on == On::cpu ? machine.cpu : machine.gpu);
  scope.seed(1);
  Step step(model, program);
  // As in a trainer: a loss is read while the next step runs.
  Tensor last;
  const std::string name = model + (program ? "/program" : "/") + (on == On::cpu ? "cpu" : "gpu");
  settle(name, [&] {
    for (int i = 0; i < 5; ++i) last = step.loss();
    (void)last.item();
  });
  for (auto _ : state) {
    Tensor next = step.loss();
    benchmark::DoNotOptimize(last.item());
    last = std::move(next);
  }
  (void)last.item();
  state.SetItemsProcessed(state.iterations() * batch);
}

/// From a system without devices to the first loss: with TROUPE_CACHE set, and in a second process,
/// no shader is compiled.
void first_step(benchmark::State& state, const std::string& model) {
  std::uint64_t compiled = 0;
  for (auto _ : state) {
    System system({.threads = 2});
    Device& device = vulkan::attach(system, device_index(), options());
    Scope scope(system, device);
    Step step(model, true);
    benchmark::DoNotOptimize(step.loss().item());
    compiled = vulkan::statistics(device).shaders_compiled;
  }
  state.counters["shaders_compiled"] = static_cast<double>(compiled);
}

benchmark::internal::Benchmark* add(
    const std::string& name, std::function<void(benchmark::State&)> body) {
  return benchmark::RegisterBenchmark(name.c_str(), std::move(body))->UseRealTime();
}

void add_kernel(
    const std::string& name,
    const std::function<OpRef()>& op,
    const std::vector<Meta>& inputs,
    int times,
    double work,
    const char* rate) {
  for (const On on : {On::gpu, On::cpu}) {
    const std::string whole = name + (on == On::gpu ? "/vulkan" : "/cpu");
    add(whole, [=](benchmark::State& state) {
      kernel(state, whole, on, op, inputs, times, work, rate);
    })->Unit(benchmark::kMicrosecond);
  }
}

/// What only a GPU has the memory and the speed for is measured on one alone.
void register_all(bool software) {
  const auto floats = [](std::initializer_list<std::int64_t> shape) {
    return Meta{DType::float32, Shape(shape)};
  };
  for (const std::int64_t n : {512, 1024, 4096}) {
    if (software && n > 1024) continue;
    const auto size = static_cast<double>(n);
    add_kernel(
        "matmul/" + std::to_string(n),
        [] { return make_op(Matmul{}); },
        {floats({n, n}), floats({n, n})},
        software ? 1 : 10,
        2 * size * size * size,
        "GFLOP/s");
    if (n < 1024) continue;
    for (const DType dtype : {DType::float16, DType::bfloat16})
      add_kernel(
          "matmul_" + std::string(name_of(dtype)) + "/" + std::to_string(n),
          [] { return make_op(Matmul{}); },
          {Meta{dtype, {n, n}}, Meta{dtype, {n, n}}},
          software ? 1 : 10,
          2 * size * size * size,
          "GFLOP/s");
  }
  // Beyond a GPU's caches; a processor's are small.
  const std::int64_t million = 1 << 20;
  for (const std::int64_t millions : {4, 64}) {
    if (software && millions > 4) continue;
    const std::int64_t n = millions * million;
    const std::string size = "/" + std::to_string(millions) + "M";
    const auto bytes = static_cast<double>(4 * n);
    add_kernel(
        "copy" + size, [] { return make_op(Copy{}); }, {floats({n})}, 10, 2 * bytes, "GB/s");
    add_kernel(
        "add" + size,
        [] { return make_op(Add{}); },
        {floats({n}), floats({n})},
        10,
        3 * bytes,
        "GB/s");
    add_kernel(
        "adamw" + size,
        [] {
          AdamUpdate update;
          update.weight_decay = 0.01;
          update.decoupled = true;
          return make_op(update);
        },
        {floats({n}), floats({n}), floats({n}), floats({n}), Meta{DType::float64, {2}}},
        4,
        7 * bytes,
        "GB/s");
  }
  for (const std::int64_t rows : {4096, 65'536}) {
    if (software && rows > 4096) continue;
    const std::string size = "/" + std::to_string(rows) + "x1024";
    const double bytes = 8.0 * static_cast<double>(rows) * 1024;
    add_kernel(
        "softmax" + size,
        [] { return make_op(Softmax{}); },
        {floats({rows, 1024})},
        4,
        bytes,
        "GB/s");
    add_kernel(
        "layer_norm" + size,
        [] { return make_op(LayerNorm{}); },
        {floats({rows, 1024}), floats({1024}), floats({1024})},
        4,
        bytes,
        "GB/s");
  }
  add("program_tiny_ops", program_tiny_ops)->Unit(benchmark::kMicrosecond);
  for (const bool joined : {true, false})
    add(joined ? "program_fold/joined" : "program_fold/apart", [=](benchmark::State& state) {
      program_fold(state, joined);
    })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("recorded_op_host", recorded_op_host)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
  for (const char* model : {"mlp", "cnn"}) {
    for (const bool program : {true, false})
      for (const On on : {On::gpu, On::cpu})
        add("step/" + std::string(model) + (program ? "/program" : "/define-by-run") +
                (on == On::gpu ? "/vulkan" : "/cpu"),
            [=](benchmark::State& state) { training_step(state, on, model, program); })
            ->Unit(benchmark::kMillisecond);
    add("first_step/" + std::string(model),
        [=](benchmark::State& state) { first_step(state, model); })
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
}

const bool registered = [] {
  try {
    const std::vector<vulkan::DeviceInfo> all = vulkan::devices();
    const unsigned index = device_index();
    if (index >= all.size() || !all[index].missing.empty()) {
      std::cerr << "no vulkan:" << index << " that could be used is here\n";
      return false;
    }
    benchmark::AddCustomContext("device", all[index].model + ", " + all[index].driver);
    register_all(all[index].software);
    return true;
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return false;
  }
}();

}  // namespace

int main(int count, char** words) {
  benchmark::Initialize(&count, words);
  if (benchmark::ReportUnrecognizedArguments(count, words)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  Machine::close_all();
}
