#include "recording.hpp"

#include "machine.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/capture.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::vulkan {
namespace {

using test::Machine;
using test::says;
using test::thrown_by;

/// A network that draws, and an optimizer whose rate and step are other ones each time.
struct Net {
  Parameter w1{test::drawn({32, 8}, 1)};
  Parameter b1{test::drawn({32}, 2)};
  Parameter w2{test::drawn({4, 32}, 3)};
  OpRef rule = make_op(AdamUpdate{});
  double steps = 0;

  std::vector<Tensor> step(std::span<const Tensor> inputs) {
    for (Parameter* p : {&w1, &b1, &w2}) p->zero_grad();
    const Tensor hidden = dropout(tanh(linear(inputs[0], w1.tensor(), b1.tensor())), 0.25);
    const Tensor noise = uniform({16, 4}, -0.1, 0.1);
    const Tensor error = linear(hidden, w2.tensor()) - inputs[1] + noise;
    const Tensor loss = mean(error * error);
    backward(loss);
    const Tensor scalars = Capture::current()->scalars(
        [this](std::span<double> numbers) {
          numbers[0] = 1e-2 / (1 + steps);
          numbers[1] = ++steps;
        },
        2);
    for (Parameter* p : {&w1, &b1, &w2}) p->apply(rule, 2, scalars);
    return {loss, transpose(hidden, 0, 1), noise};
  }
};

struct Run {
  std::vector<std::vector<float>> seen;  // every output of every step, then the parameters
  std::uint64_t replays = 0;
  std::uint64_t host_waits_in_steps = 0;
};

/// Twelve steps; `disturb` is called between them.
Run train(
    const Options& options, bool record, const std::function<void(Net&, int step)>& disturb = {}) {
  Machine machine(options);
  machine.scope.seed(5);
  Net net;
  const Meta metas[] = {{DType::float32, {16, 8}}, {DType::float32, {16, 4}}};
  ProgramOptions program_options;
  program_options.record = record;
  Program program = Program::capture(
      [&](std::span<const Tensor> inputs) { return net.step(inputs); }, metas, program_options);
  Run run;
  std::vector<std::vector<Tensor>> outputs;
  for (unsigned i = 0; i < 12; ++i) {
    const std::vector<Tensor> inputs{test::drawn({16, 8}, 10 + i), test::drawn({16, 4}, 50 + i)};
    const std::uint64_t waits = machine.counts().host_waits;
    outputs.push_back(program.run(inputs));
    run.host_waits_in_steps += machine.counts().host_waits - waits;
    if (disturb) disturb(net, static_cast<int>(i));
  }
  // Kept until now: no later step may have written over what an earlier one returned.
  for (const auto& step : outputs)
    for (const Tensor& output : step) run.seen.push_back(output.to_vector<float>());
  for (const Parameter& p : {net.w1, net.b1, net.w2})
    run.seen.push_back(p.tensor().to_vector<float>());
  run.replays = machine.counts().replays;
  CHECK(machine.counts().validation_messages == 0);
  return run;
}

}  // namespace

TEST_CASE("a step that is replayed gives the bits of one that is not", "[vulkan]") {
  Options options = test::vulkan_options();
  options.paranoid = GENERATE(false, true);
  options.poison_memory = GENERATE(false, true);
  CAPTURE(options.paranoid, options.poison_memory);
  const Run plain = train(options, false);
  const Run recorded = train(options, true);
  CHECK(plain.replays == 0);
  CHECK(recorded.replays == 11);  // all but the first
  CHECK(recorded.host_waits_in_steps == 0);
  CHECK(plain.seen == recorded.seen);
  CHECK(recorded.seen[0] != recorded.seen[3]);
  CHECK(recorded.seen[5] != recorded.seen[8]);  // noise: each step draws its own
}

TEST_CASE("updates that are joined read gradients whose memory is free already", "[vulkan]") {
  // Of the size of the table that they are joined by, and nothing else is.
  std::vector<std::vector<float>> seen[2];
  for (const bool record : {false, true}) {
    Machine machine;
    std::vector<Parameter> weights;
    for (unsigned i = 0; i < 4; ++i) weights.emplace_back(test::drawn({64}, i));
    const OpRef rule = make_op(SgdUpdate{});
    const Meta metas[] = {{DType::float32, {16, 64}}};
    Program program = Program::capture(
        [&](std::span<const Tensor> inputs) {
          Tensor total = inputs[0];
          for (Parameter& weight : weights) {
            weight.zero_grad();
            total = total * inputs[0] + inputs[0] * weight.tensor();
          }
          backward(sum(total * total));
          const Tensor scalars = Capture::current()->scalars(
              [](std::span<double> numbers) {
                numbers[0] = 0.5;
                numbers[1] = 2;
              },
              2);
          for (Parameter& weight : weights) weight.apply(rule, 0, scalars);
          return std::vector<Tensor>{};
        },
        metas,
        {.record = record});
    for (unsigned i = 0; i < 4; ++i)
      (void)program.run(std::vector<Tensor>{test::drawn({16, 64}, 9 + i)});
    for (const Parameter& weight : weights)
      seen[record].push_back(weight.tensor().to_vector<float>());
    CHECK(machine.counts().replays == (record ? 3 : 0));
  }
  CHECK(seen[0] == seen[1]);
}

TEST_CASE("a parameter that was moved, or is held by others, is not written over", "[vulkan]") {
  std::optional<Tensor> held;
  std::vector<float> held_numbers;
  const auto disturb = [&](Net& net, int step) {
    if (step == 4) net.w1.set(test::drawn({32, 8}, 99));
    if (step == 7) {
      held = net.w2.tensor();  // as it is after this step, for good
      held_numbers = held->to_vector<float>();
    }
    if (step == 11) {
      CHECK(held->to_vector<float>() == held_numbers);
      held.reset();  // before its device goes
    }
  };
  const Run plain = train(test::vulkan_options(), false, disturb);
  const Run recorded = train(test::vulkan_options(), true, disturb);
  CHECK(plain.seen == recorded.seen);
  CHECK(recorded.replays >= 6);
  CHECK(recorded.replays < 11);
}

TEST_CASE("a recording uses its memory again, and gives it back", "[vulkan]") {
  constexpr std::int64_t n = 1 << 20;
  Options options = test::vulkan_options();
  Machine machine(options);
  const std::uint64_t before = machine.counts().in_use_bytes;
  {
    const Meta metas[] = {{DType::float32, {n}}};
    Program program = Program::capture(
        [](std::span<const Tensor> inputs) {
          Tensor x = inputs[0];
          for (int i = 0; i < 40; ++i) x = relu(x + x);
          return std::vector<Tensor>{x};
        },
        metas);
    const std::vector<Tensor> inputs{full({n}, 1.0f)};
    for (int i = 0; i < 3; ++i) CHECK(program.run(inputs)[0].to_vector<float>()[5] == 0x1p40f);
    CHECK(machine.counts().replays == 2);
    // An input's copy, an output, and what a few ops have between them: not eighty tensors.
    CHECK(machine.counts().peak_bytes < before + 12 * n * sizeof(float));
  }
  machine.system.run_ready();
  CHECK(machine.counts().in_use_bytes == before);
}

TEST_CASE("a program that memory does not suffice to record runs as it did", "[vulkan]") {
  constexpr std::int64_t n = 4 << 20;
  Options options = test::vulkan_options();
  options.memory_bytes_max = std::size_t{110} << 20;
  Machine machine(options);
  const Meta metas[] = {{DType::float32, {n}}};
  Program program = Program::capture(
      [](std::span<const Tensor> inputs) {
        const Tensor x = inputs[0] + inputs[0];
        return std::vector<Tensor>{x, x * x};
      },
      metas);
  // 16 MiB each, of some 100: the input, two outputs; the recording would take another three.
  const std::vector<Tensor> inputs{full({n}, 1.0f)};
  for (int i = 0; i < 3; ++i) {
    const std::vector<Tensor> outputs = program.run(inputs);
    CHECK(outputs[1].to_vector<float>()[n - 1] == 4.0f);
  }
  CHECK(machine.counts().replays == 0);
}

TEST_CASE("a recording gives its memory up to what else needs it", "[vulkan]") {
  constexpr std::int64_t n = 4 << 20;  // 16 MiB
  Options options = test::vulkan_options();
  options.memory_bytes_max = std::size_t{160} << 20;
  Machine machine(options);
  const Meta metas[] = {{DType::float32, {n}}};
  Program program = Program::capture(
      [](std::span<const Tensor> inputs) {
        Tensor x = inputs[0];
        for (int i = 0; i < 4; ++i) x = relu(x + inputs[0]);
        return std::vector<Tensor>{sum(x)};
      },
      metas,
      {.passes = Passes::all().without(Pass::reductions)});  // so that x takes memory
  const std::vector<Tensor> inputs{full({n}, 1.0f)};
  const auto run = [&] { return program.run(inputs)[0].item(); };
  for (int i = 0; i < 3; ++i) CHECK(run() == 5.0f * n);
  CHECK(machine.counts().replays == 2);
  // The inputs, their copy and what the step computes in leave no room for this beside them.
  const std::uint64_t held = machine.counts().in_use_bytes;
  const std::uint64_t left = options.memory_bytes_max - held;
  std::vector<Tensor> others;
  for (std::uint64_t bytes = 0; bytes <= left; bytes += n * 4) others.push_back(full({n}, 2.0f));
  for (const Tensor& other : others) CHECK(other.to_vector<float>()[n - 1] == 2.0f);
  others.clear();
  for (int i = 0; i < 3; ++i) CHECK(run() == 5.0f * n);
  CHECK(machine.counts().replays == 2);
}

TEST_CASE("an index out of range in a replay is told by the next download", "[vulkan]") {
  Machine machine;
  const Meta metas[] = {{DType::float32, {3}}, {DType::int64, {2}}};
  Program program = Program::capture(
      [](std::span<const Tensor> inputs) {
        return std::vector<Tensor>{index_select(inputs[0], 0, inputs[1])};
      },
      metas);
  const Tensor table = Tensor::copy_of<float>(std::vector<float>{10, 20, 30}, {3});
  const auto run = [&](std::int64_t index) {
    const std::vector<std::int64_t> places{0, index};
    const std::vector<Tensor> inputs{table, Tensor::copy_of<std::int64_t>(places, {2})};
    return program.run(inputs)[0].to_vector<float>();
  };
  CHECK(run(1) == std::vector<float>{10, 20});
  CHECK(run(2) == std::vector<float>{10, 30});
  CHECK(machine.counts().replays == 1);
  const Error error = thrown_by([&] { return run(3); });
  CHECK(error.code() == ErrorCode::invalid_argument);
  CHECK(error.op() == "index_select");
  CHECK(run(2) == std::vector<float>{10, 30});
}

TEST_CASE("a lost device fails the steps that it was to replay", "[vulkan]") {
  Machine machine;
  const Meta metas[] = {{DType::float32, {4}}};
  Program program = Program::capture(
      [](std::span<const Tensor> inputs) { return std::vector<Tensor>{inputs[0] + inputs[0]}; },
      metas);
  const std::vector<Tensor> inputs{full({4}, 1.0f)};
  for (int i = 0; i < 3; ++i) (void)program.run(inputs)[0].to_vector<float>();
  TestAccess::lose(machine.gpu.queue());
  const Error error = thrown_by([&] { return program.run(inputs)[0].to_vector<float>(); });
  CHECK(error.code() == ErrorCode::device_lost);
}

TEST_CASE("a recording refuses what needs elements", "[vulkan]") {
  Machine machine;
  const std::unique_ptr<Recording> recording = machine.gpu.record(2);
  CHECK(recording->numbers()->meta() == Meta{DType::float64, {2}});
  Device& device = recording->device();
  CHECK(device.name() == machine.gpu.name());
  const Meta meta{DType::float32, {1}};
  const float one = 1;
  const Error error =
      thrown_by([&] { return device.upload(meta, std::as_bytes(std::span(&one, 1))); });
  CHECK(error.code() == ErrorCode::unsupported);
}

}  // namespace troupe::vulkan
