#include "autograd/constant_lr.hpp"
#include "graphs.hpp"
#include "passes/lifetimes.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

using namespace troupe;

namespace {

const std::initializer_list<Shape> shapes{{64, 64}, {64, 64}};

/// Branches that may run at once, of values that die at different times, and an update.
GraphFunction branches(Parameter& weight) {
  return [&weight](std::span<const Tensor> in) -> std::vector<Tensor> {
    weight.zero_grad();
    std::vector<Tensor> ends;
    for (int branch = 0; branch < 4; ++branch) {
      Tensor x = in[0] * (1 + branch);
      for (int i = 0; i < 4; ++i) x = softmax(matmul(x, weight.tensor()) + in[1], 1);
      ends.push_back(concat(std::vector<Tensor>{x, x * 2}, 0));
    }
    Tensor total;
    for (const Tensor& end : ends) total = total ? total + sum(end * end) : sum(end * end);
    backward(total);
    weight.set(weight.tensor() - weight.grad() * 0.01);
    return {total, ends[1]};
  };
}

}  // namespace

TEST_CASE("no two values share memory while both are alive", "[autograd][passes]") {
  test::Engine engine;
  Parameter weight(Tensor::copy_of<float>(test::numbers(64 * 64, 9), {64, 64}));
  const Program program = test::capture(branches(weight), shapes, Passes::all());
  const Graph& graph = program.graph();
  const Lifetimes lifetimes(graph);
  std::uint64_t all = 0;
  struct Stay {
    std::uint32_t from, to;
    std::uint64_t begin, end;
  };
  std::vector<Stay> stays;
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o)
    for (const Graph::Cell cell : graph.ops[o].outputs) {
      CHECK((graph.plan.offsets[cell] != MemoryPlan::none) == lifetimes.is_planned(cell));
      if (!lifetimes.is_planned(cell)) continue;
      const std::uint64_t begin = graph.plan.offsets[cell];
      const std::uint64_t bytes = graph.metas[cell].bytes();
      CHECK(begin % 64 == 0);
      CHECK(begin + bytes <= graph.plan.bytes);
      stays.push_back({o, lifetimes.last_use(cell), begin, begin + bytes});
      all += bytes;
    }
  for (std::size_t i = 0; i < stays.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const Stay &a = stays[i], &b = stays[j];
      const bool at_once = a.from <= b.to && b.from <= a.to;
      CHECK_FALSE((at_once && a.begin < b.end && b.begin < a.end));
    }
  CHECK(stays.size() > 30);
  CHECK(graph.plan.bytes < all / 2);
  CHECK(program.peak_bytes() == graph.plan.bytes);
  // What is handed out, or becomes a parameter, has memory of its own.
  for (const Graph::Cell cell : graph.outputs) CHECK(graph.plan.offsets[cell] == MemoryPlan::none);
}

TEST_CASE("a plan changes no bit, whoever runs first", "[autograd][passes]") {
  const unsigned threads = GENERATE(1u, 2u, 4u);
  const auto train = [&](Passes passes) {
    test::Engine engine(threads);
    Parameter weight(Tensor::copy_of<float>(test::numbers(64 * 64, 9), {64, 64}));
    Program program = test::capture(branches(weight), shapes, passes);
    const std::vector<Tensor> inputs = test::inputs_for(shapes);
    // Some asked for ahead, some one by one; what was handed out stays what it was.
    std::vector<std::vector<Tensor>> results;
    for (int i = 0; i < 20; ++i) {
      results.push_back(program.run(inputs));
      if (i % 7 == 0) (void)results.back()[0].item();
    }
    std::vector<std::vector<float>> seen;
    for (const std::vector<Tensor>& result : results)
      for (const Tensor& tensor : result) seen.push_back(tensor.to_vector<float>());
    seen.push_back(weight.tensor().to_vector<float>());
    return seen;
  };
  REQUIRE(train(Passes::all()) == train(Passes::all().without(Pass::memory_plan)));
}

TEST_CASE("what an update reads waits for it, though other ops come after", "[autograd][passes]") {
  const auto train = [](Passes passes) {
    test::Engine engine(2);
    Parameter weight(Tensor::copy_of<float>(test::numbers(64 * 64, 9), {64, 64}));
    const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      weight.zero_grad();
      backward(sum(softmax(matmul(in[0], weight.tensor()), 1) * in[1]));
      weight.apply(make_op(SgdUpdate{}), 0, test::constant_lr(0.5));
      // As large as the gradient, and called later; updates run when all else is done.
      Tensor x = in[1];
      for (int i = 0; i < 4; ++i) x = softmax(matmul(x, in[0]), 1);
      return {sum(x)};
    };
    Program program = test::capture(function, shapes, passes);
    std::vector<float> seen;
    for (int i = 0; i < 3; ++i)
      seen.push_back(static_cast<float>(program.run(test::inputs_for(shapes))[0].item()));
    const auto weights = weight.tensor().to_vector<float>();
    seen.insert(seen.end(), weights.begin(), weights.end());
    return seen;
  };
  REQUIRE(train(Passes::all()) == train(Passes::none()));
}

TEST_CASE("programs take turns in one stretch of memory", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {sum(matmul(softmax(in[0], 1), softmax(in[0], 0)))};
  };
  std::vector<Program> programs;
  for (const std::int64_t size : {256, 512, 512, 256})
    programs.push_back(test::capture(function, {{size, size}}, Passes::all()));
  const std::size_t before = cpu::memory(engine.device).in_use_bytes;
  std::uint64_t most = 0;
  for (Program& program : programs) {
    const Graph& graph = program.graph();
    const std::vector<Tensor> inputs{zeros(graph.metas[graph.inputs[0]].shape)};
    (void)program.run(inputs)[0].item();
    most = std::max(most, graph.plan.bytes);
  }
  // An allocation may be an eighth larger than asked for.
  CHECK(cpu::memory(engine.device).in_use_bytes - before < most + most / 4);
}
