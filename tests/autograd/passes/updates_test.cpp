#include "autograd/constant_lr.hpp"
#include "graphs.hpp"
#include "passes/lifetimes.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/cost.hpp>
#include <troupe/tensor/fused_update.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

using namespace troupe;

// The bits of prologues over random chains are compared in tests/conformance/fusion_test.cpp, their
// numbers in updates_test.cpp there.

namespace {

using Names = std::vector<std::string>;

struct Rule {
  OpRef op;
  std::uint32_t states;
};
Rule adam(bool amsgrad = false) {
  AdamUpdate update;
  update.amsgrad = amsgrad;
  update.weight_decay = 0.01;
  return {make_op(update), amsgrad ? 3U : 2U};
}
Rule sgd(double momentum) {
  SgdUpdate update;
  update.momentum = momentum;
  return {make_op(update), momentum == 0 ? 0U : 1U};
}

/// Parameters, and a step that ends with their updates.
struct Training {
  std::vector<Parameter> parameters;
  std::function<std::vector<Tensor>(std::vector<Parameter>&, std::span<const Tensor>)> step;
  std::vector<Meta> metas;

  Training(
      std::initializer_list<Shape> weights,
      std::initializer_list<Shape> inputs,
      std::function<std::vector<Tensor>(std::vector<Parameter>&, std::span<const Tensor>)> step)
      : step(std::move(step)) {
    for (const Shape& shape : weights)
      parameters.emplace_back(test::drawn(shape, 50 + parameters.size()));
    for (const Shape& shape : inputs) metas.push_back({DType::float32, shape});
  }
  Program capture(Passes passes) {
    return Program::capture(
        [this](std::span<const Tensor> in) {
          for (Parameter& parameter : parameters) parameter.zero_grad();
          return step(parameters, in);
        },
        metas,
        {.passes = passes});
  }
  std::vector<Tensor> inputs() const {
    std::vector<Tensor> inputs;
    for (const Meta& meta : metas) inputs.push_back(test::drawn(meta.shape, inputs.size() + 1));
    return inputs;
  }
  /// What a few steps give, and leave in the parameters and their states.
  std::vector<std::byte> after_steps(Passes passes) {
    Program program = capture(passes);
    std::vector<std::byte> all;
    const auto add = [&](const std::vector<Tensor>& tensors) {
      const std::vector<std::byte> bytes = test::bytes_of(tensors);
      all.insert(all.end(), bytes.begin(), bytes.end());
    };
    const std::vector<Tensor> given = inputs();
    for (int i = 0; i < 3; ++i) add(program.run(given));
    for (const Parameter& parameter : parameters) {
      add({parameter.tensor()});
      add(parameter.states());
    }
    return all;
  }
};

/// The same bits with all passes as without, and without this one.
template <class Make>
bool same_bits(const Make& make) {
  const std::vector<std::byte> expected = make().after_steps(Passes::none());
  return make().after_steps(Passes::all()) == expected &&
         make().after_steps(Passes::all().without(Pass::updates)) == expected;
}

Names updates_of(const Program& program) {
  Names names;
  for (const Graph::Op& op : program.graph().ops)
    if (op.late) names.push_back(name_of(op));
  return names;
}
const Segment& prologue_of(const Graph::Op& op) {
  REQUIRE(op.info().id == FusedUpdate::id);
  return static_cast<const FusedUpdate*>(op.op->attributes())->prologue.segment;
}

/// As `clip_grad_norm_` has it.
void clip(std::vector<Parameter>& parameters) {
  const NoGrad no_grad;
  Tensor total;
  for (Parameter& parameter : parameters) {
    const Tensor part = sum(square(parameter.grad()));
    total = total ? total + part : part;
  }
  const Tensor factor = clamp(0.1 / (sqrt(total) + 1e-6), 0, 1);
  for (Parameter& parameter : parameters) parameter.set_grad(parameter.grad() * factor);
}

void step_by(std::vector<Parameter>& parameters, const Rule& rule) {
  const Tensor scalars = test::constant_lr(0.1);
  for (Parameter& parameter : parameters) parameter.apply(rule.op, rule.states, scalars);
}

/// A network of two layers whose gradients are clipped.
Training clipped(const Rule& rule, DType products = DType::float32) {
  return {
      {{70, 90}, {90}, {40, 70}},
      {{33, 90}},
      [rule, products](std::vector<Parameter>& p, std::span<const Tensor> in) {
        const Autocast autocast(products);
        const Tensor hidden = tanh(linear(in[0] * p[1].tensor(), p[0].tensor()));
        const Tensor loss = mean(square(linear(hidden, p[2].tensor())));
        backward(loss);
        clip(p);
        step_by(p, rule);
        return std::vector<Tensor>{loss.detach()};
      }};
}

}  // namespace

TEST_CASE("an update multiplies its gradient by the factor of a clip", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  for (const Rule& rule : {adam(), adam(true), sgd(0), sgd(0.9)}) {
    const std::string name(rule.op->info().name);
    const auto make = [&] { return clipped(rule); };
    const Program program = make().capture(Passes::all());
    CHECK(updates_of(program) == Names(3, "mul + " + name));
    // What is multiplied is what the product made, and the factor is one for all.
    Graph::Cell factor = 0;
    for (const Graph::Op& op : program.graph().ops) {
      if (!op.late) continue;
      CHECK(prologue_of(op).inputs == 2);
      REQUIRE(op.inputs.size() == rule.states + 4);
      const Graph::Cell read = op.inputs[rule.states + 2];
      CHECK(program.graph().metas[read].shape == Shape{});
      CHECK((factor == 0 || read == factor));
      factor = read;
      REQUIRE(op.nodes.size() == 2);
      CHECK(op.nodes[0].op == "mul");
      CHECK(op.nodes[0].number < op.nodes[1].number);
      const Graph& graph = program.graph();
      std::vector<Meta> inputs, outputs;
      for (const Graph::Cell cell : op.inputs) inputs.push_back(graph.metas[cell]);
      for (const Graph::Cell cell : op.outputs) outputs.push_back(graph.metas[cell]);
      const auto elements = static_cast<double>(outputs[0].elements());
      const Cost cost = cost_of(*op.op, inputs, outputs);
      CHECK(cost.flops == 2 * elements);  // one for the product, and one for the rule
      CHECK(cost.bytes == (3 + 2 * rule.states) * 4 * elements + 4 + 16);
    }
    const Program without = make().capture(Passes::all().without(Pass::updates));
    CHECK(updates_of(without) == Names(3, name));
    CHECK(program.op_count() == without.op_count() - 3);
    CHECK(program.peak_bytes() <= without.peak_bytes());
    CHECK(same_bits(make));
  }
}

TEST_CASE("an update widens the gradient of a narrow product", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const auto make = [] {
    return Training(
        {{70, 90}}, {{33, 90}}, [](std::vector<Parameter>& p, std::span<const Tensor> in) {
          const Autocast autocast(DType::bfloat16);
          const Tensor loss = mean(square(linear(in[0], p[0].tensor())));
          backward(loss);
          step_by(p, adam());
          return std::vector<Tensor>{loss.detach()};
        });
  };
  const Program program = make().capture(Passes::all());
  CHECK(updates_of(program) == Names{"cast + adam_update"});
  const Graph& graph = program.graph();
  CHECK(graph.metas[graph.ops.back().inputs[3]].dtype == DType::bfloat16);
  for (const Graph::Op& op : graph.ops)
    for (const Graph::Cell cell : op.outputs)
      CHECK((op.late || graph.metas[cell] != Meta{DType::float32, {70, 90}}));
  CHECK(same_bits(make));
}

TEST_CASE("a cast whose result is read by chains too is made twice", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const auto make = [] { return clipped(adam(), DType::bfloat16); };
  const Program program = make().capture(Passes::all());
  CHECK(
      updates_of(program) ==
      Names{"cast + mul + adam_update", "mul + adam_update", "cast + mul + adam_update"});
  const Graph& graph = program.graph();
  INFO(graph.to_string());
  // The product's gradient is in memory in 16 bits alone.
  for (const Graph::Op& op : graph.ops)
    for (const Graph::Cell cell : op.outputs)
      CHECK((op.late || graph.metas[cell] != Meta{DType::float32, {70, 90}}));
  const Program without = make().capture(Passes::all().without(Pass::updates));
  CHECK(program.peak_bytes() <= without.peak_bytes());
  CHECK(same_bits(make));
}

TEST_CASE("a cast that something else needs in memory is made once", "[autograd][passes]") {
  test::Engine engine;
  const auto make = [] {
    return Training(
        {{70, 90}}, {{33, 90}}, [](std::vector<Parameter>& p, std::span<const Tensor> in) {
          const Autocast autocast(DType::bfloat16);
          const Tensor loss = mean(square(linear(in[0], p[0].tensor())));
          backward(loss);
          const NoGrad no_grad;
          const Tensor gradient = p[0].grad();
          p[0].set_grad(gradient * sum(softmax(gradient, 0)));
          step_by(p, adam());
          return std::vector<Tensor>{loss.detach()};
        });
  };
  CHECK(updates_of(make().capture(Passes::all())) == Names{"mul + adam_update"});
  CHECK(same_bits(make));
}

TEST_CASE("the sum of a shared weight's gradients is the update's", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const std::vector<std::int64_t> places{3, 0, 7, 7, 2, 19};
  const auto make = [&] {
    return Training(
        {{20, 300}}, {{6, 300}}, [&](std::vector<Parameter>& p, std::span<const Tensor> in) {
          const Tensor& table = p[0].tensor();
          const Tensor rows = embedding(Tensor::copy_of<std::int64_t>(places, {6}), table);
          const Tensor loss = mean(square(linear(tanh(rows + in[0]), table)));
          backward(loss);
          step_by(p, adam());
          return std::vector<Tensor>{loss.detach()};
        });
  };
  const Program program = make().capture(Passes::all());
  CHECK(updates_of(program) == Names{"add + adam_update"});
  const Program without = make().capture(Passes::all().without(Pass::updates));
  CHECK(program.peak_bytes() <= without.peak_bytes());
  CHECK(same_bits(make));
}

// The second weight's two gradients are there before the backward pass comes to what is large.
TEST_CASE("a sum that would keep more until the updates stays", "[autograd][passes]") {
  test::Engine engine;
  const auto make = [] {
    return Training(
        {{200, 200}, {200, 200}},
        {{4000, 200}},
        [](std::vector<Parameter>& p, std::span<const Tensor> in) {
          const Tensor large = tanh(linear(in[0], p[0].tensor()));
          const Tensor small = mean(reshape(large, {40, 100, 200}), {1});
          const Tensor twice = softmax(linear(small, p[1].tensor()), 1);
          const Tensor loss = mean(square(linear(twice, p[1].tensor())));
          backward(loss);
          step_by(p, adam());
          return std::vector<Tensor>{loss.detach()};
        });
  };
  Training training = make();
  const Program program = training.capture(Passes::all());
  const Program without = training.capture(Passes::all().without(Pass::updates));
  CHECK(program.peak_bytes() <= without.peak_bytes());
  CHECK(updates_of(program) == Names{"adam_update", "adam_update"});
  CHECK(same_bits(make));
}

TEST_CASE("a chain of several ops goes before the update as a whole", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  for (const std::int64_t n : {1, 5, 63, 64, 65, 2047, 2048, 2049, 16384, 16385, 40'001}) {
    const auto make = [&] {
      return Training({{n}}, {{n}}, [](std::vector<Parameter>& p, std::span<const Tensor> in) {
        const Tensor loss = sum(tanh(p[0].tensor()) * cumsum(in[0], 0));
        backward(loss);
        const NoGrad no_grad;
        const Tensor gradient = cumsum(p[0].grad(), 0);
        p[0].set_grad(where(gradient > 0, tanh(gradient) * 2, gradient - in[0]));
        step_by(p, sgd(0.9));
        return std::vector<Tensor>{loss.detach()};
      });
    };
    if (n > 1) {
      const Names names = updates_of(make().capture(Passes::all()));
      REQUIRE(names.size() == 1);
      INFO(names[0]);
      CHECK(names[0].ends_with(" + sgd_update"));
      CHECK(std::count(names[0].begin(), names[0].end(), '+') == 5);
    }
    CHECK(same_bits(make));
  }
}

TEST_CASE("a prologue broadcasts as its ops do", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const auto make = [] {
    return Training(
        {{50, 70}},
        {{70}, {50, 1}, {70, 50}},
        [](std::vector<Parameter>& p, std::span<const Tensor> in) {
          p[0].set_grad(transpose(in[2], 0, 1) * in[0] + in[1]);
          step_by(p, adam());
          return std::vector<Tensor>{sum(in[0])};
        });
  };
  CHECK(updates_of(make().capture(Passes::all())) == Names{"mul + add + adam_update"});
  CHECK(same_bits(make));
}

// An update writes weights and states where they lie, and not all updates run at once.
TEST_CASE("what reads weights or states is not put before an update", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const auto make = [] {
    return Training(
        {{64, 70}, {64, 70}},
        {{64, 70}},
        [](std::vector<Parameter>& p, std::span<const Tensor> in) {
          const NoGrad no_grad;
          p[0].set_grad(in[0] + p[0].tensor() * 0.1);
          p[1].set_grad((in[0] - reshape(reshape(p[0].tensor(), {-1}), {64, 70})) * 2);
          step_by(p, adam());
          return std::vector<Tensor>{sum(in[0])};
        });
  };
  const Program program = make().capture(Passes::all());
  // What was made of a weight is read like anything else.
  CHECK(updates_of(program) == Names{"add + adam_update", "mul + adam_update"});
  CHECK(program.graph().late_in_place);
  CHECK(same_bits(make));
}

TEST_CASE("a gradient that is handed out is made before the update", "[autograd][passes]") {
  test::Engine engine;
  const auto make = [] {
    return Training(
        {{64, 70}, {64, 70}},
        {{64, 70}},
        [](std::vector<Parameter>& p, std::span<const Tensor> in) {
          const Tensor gradient = in[0] * 2;
          p[0].set_grad(gradient);
          const Tensor shared = in[0] * 3;
          p[1].set_grad(shared);
          step_by(p, adam());
          return std::vector<Tensor>{gradient, softmax(shared, 0)};
        });
  };
  CHECK(updates_of(make().capture(Passes::all())) == Names(2, "adam_update"));
  CHECK(same_bits(make));
}

TEST_CASE("two updates by one gradient make it once each or not at all", "[autograd][passes]") {
  test::Engine engine;
  const auto make = [] {
    return Training(
        {{64, 70}, {64, 70}},
        {{64, 70}},
        [](std::vector<Parameter>& p, std::span<const Tensor> in) {
          const Tensor gradient = in[0] * 2;
          for (Parameter& parameter : p) parameter.set_grad(gradient);
          step_by(p, sgd(0.5));
          return std::vector<Tensor>{sum(in[0])};
        });
  };
  CHECK(updates_of(make().capture(Passes::all())) == Names(2, "sgd_update"));
  CHECK(same_bits(make));
}

TEST_CASE("a step that fails writes nothing, with prologues too", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  Training training(
      {{70, 90}, {40, 70}},
      {{33, 90}, {1}},
      [](std::vector<Parameter>& p, std::span<const Tensor> in) {
        const Tensor hidden = tanh(linear(in[0], p[0].tensor()));
        const Tensor loss = mean(square(linear(hidden, p[1].tensor())));
        backward(loss);
        clip(p);
        step_by(p, adam());
        const Tensor place = cast(in[1], DType::int64);
        return std::vector<Tensor>{loss.detach(), index_select(loss.detach() * in[1], 0, place)};
      });
  Program program = training.capture(Passes::all());
  REQUIRE(updates_of(program) == Names(2, "mul + adam_update"));
  std::vector<Tensor> inputs = training.inputs();
  inputs[1] = Tensor::copy_of<float>(std::vector<float>{0}, {1});
  (void)program.run(inputs)[1].value();
  const auto state = [&] {
    std::vector<std::byte> all;
    for (const Parameter& p : training.parameters) {
      for (const Tensor& tensor : p.states())
        for (const std::byte byte : test::bytes_of({tensor})) all.push_back(byte);
      for (const std::byte byte : test::bytes_of({p.tensor()})) all.push_back(byte);
    }
    return all;
  };
  const std::vector<std::byte> before = state();
  inputs[1] = Tensor::copy_of<float>(std::vector<float>{5}, {1});
  CHECK_THROWS_AS(program.run(inputs)[1].value(), Error);
  CHECK(state() == before);
  inputs[1] = Tensor::copy_of<float>(std::vector<float>{0}, {1});
  (void)program.run(inputs)[1].value();
  CHECK(state() != before);
}

TEST_CASE("steps in flight and a budget change no bit of prologues", "[autograd][passes]") {
  test::Engine engine(2);
  const auto run = [](ProgramOptions options) {
    Training training = clipped(adam(), DType::bfloat16);
    Program program = Program::capture(
        [&](std::span<const Tensor> in) {
          for (Parameter& parameter : training.parameters) parameter.zero_grad();
          return training.step(training.parameters, in);
        },
        training.metas,
        options);
    const std::vector<Tensor> inputs = training.inputs();
    std::vector<Tensor> losses;
    for (int i = 0; i < 8; ++i) losses.push_back(program.run(inputs)[0]);
    for (const Parameter& parameter : training.parameters) losses.push_back(parameter.tensor());
    return std::pair(test::bytes_of(losses), program.peak_bytes());
  };
  const auto [expected, ignored] = run({.passes = Passes::none()});
  const auto [compiled, peak] = run({});
  CHECK(compiled == expected);
  CHECK(run({.steps_in_flight = 3}).first == expected);
  CHECK(run({.memory_bytes = peak}).first == expected);
}
