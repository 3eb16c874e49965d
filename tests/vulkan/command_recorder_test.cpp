#include "command_recorder.hpp"

#include "machine.hpp"
#include "support/engine.hpp"

#include <troupe/tensor/ops/adam_update.hpp>
#include <troupe/tensor/ops/exp.hpp>
#include <troupe/tensor/ops/sgd_update.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <vector>

namespace troupe::vulkan {
namespace {

using test::Machine;

/// Tensors of one update in place, w and g.
struct Weights {
  Tensor w, g;
  std::vector<float> wanted;  // after w − ½ · g

  explicit Weights(std::int64_t n, unsigned seed) {
    const auto count = static_cast<std::size_t>(n);
    std::vector<float> first = test::numbers(count, seed), second = test::numbers(count, seed + 1);
    w = Tensor::copy_of<float>(first, {n});
    g = Tensor::copy_of<float>(second, {n});
    for (std::size_t i = 0; i < count; ++i) wanted.push_back(first[i] - 0.5f * second[i]);
  }
};

Tensor scalars_of(double rate) {
  const double numbers[] = {rate, 1};
  return Tensor::copy_of<double>(numbers, {2});
}

void update(Device& device, const OpRef& op, const Weights& of, const Tensor& scalars) {
  const Value inputs[] = {of.w.value(), of.g.value(), scalars.value()};
  const Value out = inputs[0];
  (void)device.launch(Launch{op.get(), inputs, {&out, 1}, 0, 0});
}

std::uint64_t dispatches(Machine& machine, const std::function<void()>& work) {
  machine.gpu.queue().wait(machine.gpu.queue().sent());
  const std::uint64_t before = machine.counts().dispatches;
  work();
  machine.gpu.queue().wait(machine.gpu.queue().sent());
  return machine.counts().dispatches - before;
}

}  // namespace

TEST_CASE("updates of many tensors are one dispatch", "[vulkan]") {
  Machine machine;
  const bool descriptors = machine.gpu.context().options.descriptors;
  const Tensor scalars = scalars_of(0.5);
  const OpRef op = make_op(SgdUpdate{});
  std::vector<Weights> weights;
  // Of one element, of a workgroup and its neighbours, of many workgroups.
  for (const std::int64_t n : {1, 7, 31, 32, 33, 255, 256, 257, 1000, 3, 1})
    weights.emplace_back(n, static_cast<unsigned>(n));
  const std::uint64_t count = dispatches(machine, [&] {
    for (const Weights& one : weights) update(machine.gpu, op, one, scalars);
  });
  CHECK(count == (descriptors ? weights.size() : 1));
  for (const Weights& one : weights) CHECK(one.w.to_vector<float>() == one.wanted);
}

TEST_CASE("what differs, or depends on one another, is not joined", "[vulkan]") {
  Machine machine;
  if (machine.gpu.context().options.descriptors) SKIP("nothing is joined by descriptor");
  const Tensor scalars = scalars_of(0.5), others = scalars_of(0.25);
  const OpRef plain = make_op(SgdUpdate{});
  SgdUpdate uphill;
  uphill.maximize = true;
  const OpRef other = make_op(uphill);
  const Weights a(100, 1), b(100, 3), c(100, 5);

  // Another rate is another tensor, and no matter; another rule is another pipeline.
  CHECK(dispatches(machine, [&] {
          update(machine.gpu, plain, a, scalars);
          update(machine.gpu, plain, b, others);
        }) == 1);
  CHECK(dispatches(machine, [&] {
          update(machine.gpu, plain, a, scalars);
          update(machine.gpu, other, a, scalars);
        }) == 2);
  // The same tensor twice: a's second update comes after its first.
  CHECK(dispatches(machine, [&] {
          update(machine.gpu, plain, c, scalars);
          update(machine.gpu, plain, c, scalars);
        }) == 2);
  std::vector<float> twice = c.wanted;
  const std::vector<float> gradient = c.g.to_vector<float>();
  for (std::size_t i = 0; i < twice.size(); ++i) twice[i] -= 0.5f * gradient[i];
  CHECK(c.w.to_vector<float>() == twice);
  CHECK(a.w.to_vector<float>() == a.wanted);
}

TEST_CASE("what reads an updated tensor comes after the update", "[vulkan]") {
  Machine machine;
  const OpRef op = make_op(SgdUpdate{});
  const OpRef exp_op = make_op(Exp{});
  const Weights a(64, 1), b(64, 3);
  const Tensor scalars = scalars_of(0.5);
  const Value out = ValueBody::make(Meta{DType::float32, {64}}, machine.gpu.allocate(256));
  const Value read = a.w.value();
  update(machine.gpu, op, a, scalars);
  update(machine.gpu, op, b, scalars);
  (void)machine.gpu.launch(Launch{exp_op.get(), {&read, 1}, {&out, 1}, 0, 0});
  const Tensor expected = exp(Tensor::copy_of<float>(a.wanted, {64}));
  CHECK(Tensor::constant(out).to_vector<float>() == expected.to_vector<float>());
}

TEST_CASE("more updates than a table has rows are several dispatches", "[vulkan]") {
  Machine machine;
  if (machine.gpu.context().options.descriptors) SKIP("nothing is joined by descriptor");
  const OpRef op = make_op(SgdUpdate{});
  const Tensor scalars = scalars_of(0.5);
  std::vector<Weights> weights;
  for (unsigned i = 0; i < 150; ++i) weights.emplace_back(5, i);
  // Recorded, for the queue submits what it has before a table is full.
  const std::unique_ptr<Recording> recording = machine.gpu.record(0);
  for (const Weights& one : weights) update(recording->device(), op, one, scalars);
  recording->finish();
  CHECK(dispatches(machine, [&] { CHECK(recording->replay({}, 0, 0, {})); }) == 3);
  for (const Weights& one : weights) CHECK(one.w.to_vector<float>() == one.wanted);
}

}  // namespace troupe::vulkan
