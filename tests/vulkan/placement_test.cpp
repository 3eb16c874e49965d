#include "machine.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/clip_grad.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/loss.hpp>
#include <troupe/nn/module.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/record.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <vector>

using namespace troupe;

namespace {

struct Outcome {
  std::vector<float> losses;
  std::vector<std::vector<float>> weights;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Trains an MLP whose scope is the CPU's, its middle on `elsewhere`.
Outcome train(test::Machine& machine, Device& elsewhere, bool compiled, unsigned in_flight = 1) {
  const Scope on_cpu(machine.system, machine.cpu);
  Scope::current().seed(5);
  const nn::Sequential model{
      nn::Linear(12, 80), nn::ReLU(), nn::Linear(80, 80), nn::Tanh(), nn::Linear(80, 3)};
  nn::place(model, machine.cpu);
  for (std::size_t i = 1; i < 4; ++i) nn::place(model[i], elsewhere);
  const optim::Adam adam(model.parameters());
  nn::MSELoss loss_of;
  const GraphFunction step = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    optim::Optimizer optimizer = adam;
    optimizer.zero_grad();
    const Tensor loss = loss_of(model(in[0]), in[1]);
    backward(loss);
    (void)nn::clip_grad_norm_(model.parameters(), 0.5);
    optimizer.step();
    return {loss};
  };
  std::optional<CompiledFunction> program;
  if (compiled) program.emplace(step, ProgramOptions{.steps_in_flight = in_flight});
  const std::vector<Tensor> in{
      Tensor::copy_of<float>(test::numbers(16 * 12, 1), {16, 12}),
      Tensor::copy_of<float>(test::numbers(16 * 3, 2), {16, 3})};
  Outcome outcome;
  std::vector<Tensor> losses;
  for (int i = 0; i < 8; ++i) losses.push_back((program ? (*program)(in) : step(in))[0]);
  for (const Tensor& loss : losses) outcome.losses.push_back(loss.item<float>());
  for (const Parameter& parameter : model.parameters())
    outcome.weights.push_back(parameter.tensor().to_vector<float>());
  return outcome;
}

}  // namespace

// Goal: CPU and GPU share a model, through both doors alike. Method: a training with clipping and
// Adam whose middle layers are on the GPU, define-by-run, compiled, and two steps at a time.
TEST_CASE("a model of which a part is on the GPU learns, by both doors alike", "[vulkan]") {
  test::Machine machine;
  const Outcome mixed = train(machine, machine.gpu, false);
  CHECK(train(machine, machine.gpu, true) == mixed);
  CHECK(train(machine, machine.gpu, true, 2) == mixed);
  const Outcome local = train(machine, machine.cpu, false);
  CHECK(mixed.losses.back() < mixed.losses.front());
  for (std::size_t i = 0; i < local.losses.size(); ++i)
    CHECK(mixed.losses[i] == Catch::Approx(local.losses[i]).epsilon(1e-3));
  CHECK(test::validation_messages(machine.gpu) == 0);
}

TEST_CASE("no pass joins ops of two devices", "[vulkan]") {
  test::Machine machine;
  const Scope on_cpu(machine.system, machine.cpu);
  const Meta meta{DType::float32, {64, 64}};
  const Program program = Program::capture(
      [&](std::span<const Tensor> in) -> std::vector<Tensor> {
        // Alike, but for the device: not the same; and chains that could go on but for it.
        const Tensor here = tanh(in[0] * 2 + 1);
        const Tensor there = tanh(to(in[0], machine.gpu) * 2 + 1);
        return {relu(here + to(relu(there), machine.cpu)), to(here, machine.gpu) - there};
      },
      {&meta, 1});
  const Graph& graph = program.graph();
  CHECK(graph.used_devices().size() == 2);
  for (const Graph::Op& op : graph.ops) {
    CAPTURE(name_of(op));
    if (op.info().family == OpFamily::transfer) {
      CHECK(graph.devices[op.inputs[0]] != graph.devices[op.outputs[0]]);
      continue;
    }
    for (const Graph::Cell cell : op.inputs) CHECK(graph.devices[cell] == &graph.device_of(op));
    for (const Graph::Cell cell : op.outputs) CHECK(graph.devices[cell] == &graph.device_of(op));
  }
  for (Graph::Cell cell = 0; cell < graph.plan.offsets.size(); ++cell)
    if (graph.plan.offsets[cell] != MemoryPlan::none) CHECK(graph.devices[cell] == &machine.cpu);

  const Tensor x = Tensor::copy_of<float>(test::numbers(64 * 64, 3), {64, 64});
  Program runs = program;
  const std::vector<Tensor> out = runs.run({&x, 1});
  CHECK(&out[0].record()->device() == &machine.cpu);
  CHECK(&out[1].record()->device() == &machine.gpu);
  const Tensor there = tanh(to(x, machine.gpu) * 2 + 1);
  const Tensor want = relu(tanh(x * 2 + 1) + to(relu(there), machine.cpu));
  CHECK(out[0].to_vector<float>() == want.to_vector<float>());
}
