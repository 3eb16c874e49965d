#include "prologue.hpp"

#include "autograd/constant_lr.hpp"
#include "machine.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// Goal: an update that makes its gradient itself has the bits of the chain's dispatch followed by
// the update's, and such updates are one dispatch as others are. Method: programs with and without
// the pass that joins them, by address and by descriptor, with the validation layer listening.
namespace troupe::vulkan {
namespace {

using test::Machine;

using GradientOf = std::function<Tensor(const Tensor& x, std::span<const Tensor> others)>;
struct Rule {
  OpRef op;
  std::uint32_t states;
};

struct Run {
  std::vector<std::vector<std::byte>> bytes;
  std::uint64_t dispatches = 0;
  std::vector<std::string> updates;
};

const std::vector<Shape> shapes{{5, 7}, {1}, {30, 4}, {64}};

/// Steps that update parameters of these shapes.
Run run(
    Machine& machine,
    const Rule& rule,
    const GradientOf& gradient_of,
    std::size_t others,
    DType dtype,
    Passes passes) {
  const auto numbers = [&](const Shape& shape, std::uint64_t seed) {
    return cast(test::drawn(shape, seed), dtype);
  };
  std::vector<Parameter> parameters;
  std::vector<Meta> metas;
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) {
    parameters.emplace_back(numbers(shape, inputs.size() + 1));
    for (std::size_t i = 0; i <= others; ++i) {
      const bool one = i > 0 && i % 2 == 1;
      metas.push_back({dtype, one ? Shape{} : shape});
      inputs.push_back(numbers(metas.back().shape, 100 + inputs.size()));
    }
  }
  ProgramOptions options{.passes = passes};
  Program program = Program::capture(
      [&](std::span<const Tensor> in) -> std::vector<Tensor> {
        const Tensor scalars = test::constant_lr(0.125);
        for (std::size_t p = 0; p < parameters.size(); ++p) {
          const std::span<const Tensor> own = in.subspan(p * (others + 1), others + 1);
          parameters[p].zero_grad();
          parameters[p].set_grad(gradient_of(own[0], own.subspan(1)));
          parameters[p].apply(rule.op, rule.states, scalars);
        }
        return {in[0]};
      },
      metas,
      options);
  Run run;
  for (const Graph::Op& op : program.graph().ops)
    if (op.late) run.updates.push_back(name_of(op));
  (void)program.run(inputs)[0].value();
  (void)parameters[0].tensor().value();
  machine.gpu.queue().wait(machine.gpu.queue().sent());
  const std::uint64_t before = machine.counts().dispatches;
  (void)program.run(inputs)[0].value();
  for (const Parameter& parameter : parameters) (void)parameter.tensor().value();
  machine.gpu.queue().wait(machine.gpu.queue().sent());
  run.dispatches = machine.counts().dispatches - before;
  for (const Parameter& parameter : parameters) {
    std::vector<Tensor> left = parameter.states();
    left.push_back(parameter.tensor());
    for (const Tensor& tensor : left) {
      const Value value = tensor.value();
      run.bytes.emplace_back(value->meta().bytes());
      value->device().download(value, run.bytes.back());
    }
  }
  return run;
}

std::vector<Rule> rules() {
  AdamUpdate bounded;
  bounded.amsgrad = true;
  bounded.weight_decay = 0.1;
  SgdUpdate rolling;
  rolling.momentum = 0.9;
  return {
      {make_op(AdamUpdate{}), 2},
      {make_op(bounded), 3},
      {make_op(SgdUpdate{}), 0},
      {make_op(rolling), 1}};
}

}  // namespace

TEST_CASE("updates that multiply by a factor first are one dispatch", "[vulkan]") {
  const bool descriptors = GENERATE(false, true);
  Machine machine(test::way(descriptors));
  const GradientOf scaled = [](const Tensor& x, std::span<const Tensor> others) {
    return x * others[0];
  };
  for (const DType dtype : {DType::float32, DType::float64})
    for (const Rule& rule : rules()) {
      const std::string name(rule.op->info().name);
      CAPTURE(name, rule.states, name_of(dtype));
      const Run apart = run(machine, rule, scaled, 1, dtype, Passes::all().without(Pass::updates));
      const Run joined = run(machine, rule, scaled, 1, dtype, Passes::all());
      CHECK(joined.updates == std::vector<std::string>(shapes.size(), "mul + " + name));
      CHECK(joined.bytes == apart.bytes);
      // By descriptor what is copied into a recorded step is dispatched too.
      if (!descriptors) CHECK(joined.dispatches == 1);
      CHECK(joined.dispatches == apart.dispatches - shapes.size());
    }
  CHECK(machine.counts().validation_messages == 0);
}

TEST_CASE("a prologue has as many steps as its shader has room for", "[vulkan]") {
  const bool descriptors = GENERATE(false, true);
  Machine machine(test::way(descriptors));
  // Of tensors and of numbers in turn, and one of answers.
  const GradientOf long_chain = [](const Tensor& x, std::span<const Tensor> others) {
    Tensor y = x;
    for (const Tensor& other : others) y = tanh(where(y > 0, y, other) + other);
    return y;
  };
  for (const Rule& rule : rules()) {
    const std::string name(rule.op->info().name);
    CAPTURE(name, rule.states);
    const Run apart =
        run(machine, rule, long_chain, 6, DType::float32, Passes::all().without(Pass::updates));
    const Run joined = run(machine, rule, long_chain, 6, DType::float32, Passes::all());
    for (const std::string& update : joined.updates) CHECK(update.ends_with("tanh + " + name));
    CHECK(joined.bytes == apart.bytes);
  }
  CHECK(machine.counts().validation_messages == 0);
}

TEST_CASE("what is repeated by rows is not put before an update", "[vulkan]") {
  Machine machine;
  Fused fused;
  fused.fold = make_op(AdamUpdate{});
  const Meta gradient{DType::float32, {5, 7}};
  const std::vector<Meta> row{gradient, {DType::float32, {7}}};
  const std::vector<Meta> one{gradient, {DType::float32, {1}}};
  CHECK(!Prologue::fits(fused, row, gradient));
  CHECK(Prologue::fits(fused, one, gradient));
  CHECK(Prologue::fits(fused, std::vector<Meta>(3, gradient), gradient));
  CHECK(!Prologue::fits(fused, std::vector<Meta>(4, gradient), gradient));
  fused.fold = make_op(SgdUpdate{});
  CHECK(Prologue::fits(fused, std::vector<Meta>(7, gradient), gradient));
  CHECK(!Prologue::fits(fused, std::vector<Meta>(8, gradient), gradient));
  fused.fold = make_op(Sum{});
  CHECK(!Prologue::fits(fused, one, gradient));
}

}  // namespace troupe::vulkan
