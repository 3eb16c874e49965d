#include "chain.hpp"

#include "machine.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <string>
#include <vector>

// Goal: a fold that makes its elements itself has the bits of the chain's dispatch followed by the
// fold's. Method: programs with and without the pass that joins them, by address and by descriptor,
// with a processor's kernels and a GPU's, with the validation layer listening.
namespace troupe::vulkan {
namespace {

using test::Machine;

using Bytes = std::vector<std::vector<std::byte>>;

struct Run {
  Bytes bytes;
  std::uint64_t dispatches = 0;
  std::string last;  ///< the name of the last op
};

Run run(Machine& machine, const GraphFunction& function, std::vector<Meta> metas, Passes passes) {
  std::vector<Tensor> inputs;
  for (const Meta& meta : metas)
    inputs.push_back(cast(
        test::drawn(meta.shape, inputs.size() + 1) * (meta.dtype == DType::float32 ? 1 : 100),
        meta.dtype));
  ProgramOptions options{.passes = passes};
  options.record = false;
  Program program = Program::capture(function, metas, options);
  Run run;
  run.last = name_of(program.graph().ops.back());
  const auto read = [&] {
    run.bytes.clear();
    for (const Tensor& result : program.run(inputs)) {
      const Value value = result.value();
      run.bytes.emplace_back(value->meta().bytes());
      value->device().download(value, run.bytes.back());
    }
  };
  read();  // and the queue has counted all that came before
  const std::uint64_t before = machine.counts().dispatches;
  read();
  run.dispatches = machine.counts().dispatches - before;
  return run;
}

/// Runs both ways. @returns the name of the last op with the pass
std::string compare(
    Machine& machine,
    const GraphFunction& function,
    const std::vector<Meta>& metas,
    std::uint64_t saved = 1) {
  const Run apart = run(machine, function, metas, Passes::all().without(Pass::reductions));
  const Run joined = run(machine, function, metas, Passes::all());
  CHECK(joined.bytes == apart.bytes);
  CHECK(joined.dispatches == apart.dispatches - saved);
  return joined.last;
}

constexpr DType f32 = DType::float32;

/// Columns are left to a dispatch of their own where the device is a processor's kernels.
bool joins(bool gpu_kernels, const Shape& shape, const Dims& axes) {
  return gpu_kernels || axes != Dims{0} || shape[1] == 1;
}

}  // namespace

TEST_CASE("a fold makes its elements in its own order", "[vulkan]") {
  const bool gpu_kernels = GENERATE(false, true);
  Machine machine(test::way(gpu_kernels));
  for (const Shape& shape :
       {Shape{1, 1}, Shape{5, 7}, Shape{3, 40}, Shape{300, 257}, Shape{9000, 3}, Shape{2, 40000}})
    for (const Dims& axes : {Dims{}, Dims{0}, Dims{1}}) {
      CAPTURE(to_string(shape), axes.size());
      const bool joined = joins(gpu_kernels, shape, axes);
      // Read where the element lies, by row, by column, and as one.
      const std::vector<Meta> metas{
          {f32, shape}, {f32, {shape[1]}}, {f32, {shape[0], 1}}, {f32, {}}};
      CHECK(
          compare(
              machine,
              [&](std::span<const Tensor> in) -> std::vector<Tensor> {
                return {sum((in[0] * in[1] + in[2]) * in[3], axes)};
              },
              metas,
              joined ? 1 : 0) == (joined ? "mul + add + mul + sum" : "sum"));
      CHECK(
          compare(
              machine,
              [&](std::span<const Tensor> in) -> std::vector<Tensor> {
                return {amax(gelu(in[0] - in[2]), axes, true)};
              },
              metas,
              joined ? 1 : 0) == (joined ? "sub + gelu + amax" : "amax"));
    }
}

TEST_CASE("every fold may end a chain", "[vulkan]") {
  Machine machine(test::way(GENERATE(false, true)));
  const Shape shape{130, 70};
  const auto over = [](const auto& op, const Tensor& x, const Dims& axes) {
    return apply(fold_over<std::decay_t<decltype(op)>>(axes, false), x);
  };
  for (const Dims& axes : {Dims{1}, Dims{0, 1}}) {
    const auto check = [&](const std::string& name, const auto& fold) {
      CHECK(compare(
                machine,
                [&](std::span<const Tensor> in) -> std::vector<Tensor> { return {fold(in[0])}; },
                {{f32, shape}})
                .ends_with(" + " + name));
    };
    check("mean", [&](const Tensor& x) { return over(Mean{}, square(x), axes); });
    check("prod", [&](const Tensor& x) { return over(Prod{}, x * 0.125 + 1, axes); });
    check("amin", [&](const Tensor& x) { return over(Amin{}, tanh(x), axes); });
    check("any", [&](const Tensor& x) { return over(Any{}, x > 0.99, axes); });
    check("all", [&](const Tensor& x) { return over(All{}, x > -0.99, axes); });
    check("sum", [&](const Tensor& x) { return over(Sum{}, x > 0, axes); });
  }
  for (const DType dtype : {DType::int32, DType::int64, DType::uint8})
    CHECK(
        compare(
            machine,
            [](std::span<const Tensor> in) -> std::vector<Tensor> {
              return {sum(in[0] * in[0], 1)};
            },
            {{dtype, shape}}) == "mul + sum");
}

TEST_CASE("what others read of a chain is stored by its fold", "[vulkan]") {
  const bool gpu_kernels = GENERATE(false, true);
  Machine machine(test::way(gpu_kernels));
  for (const Shape& shape : {Shape{5, 7}, Shape{3000, 60}, Shape{3, 70000}})
    for (const Dims& axes : {Dims{0}, Dims{1}, Dims{}}) {
      CAPTURE(to_string(shape), axes.size());
      const bool joined = joins(gpu_kernels, shape, axes);
      CHECK(compare(
                machine,
                [&](std::span<const Tensor> in) -> std::vector<Tensor> {
                  const Tensor y = tanh(in[0] + in[1]);
                  const Tensor positive = y > 0;
                  const Tensor z = where(positive, y, in[0]) * 2;
                  return {positive, z, sum(z, axes)};
                },
                {{f32, shape}, {f32, {shape[1]}}},
                joined ? 1 : 0)
                .ends_with(joined ? " + sum" : "sum"));
    }
}

TEST_CASE("a chain before a fold reads what lies in another order", "[vulkan]") {
  Machine machine(test::way(GENERATE(false, true)));
  // A copy takes the place of the chain's own walk through it.
  CHECK(
      compare(
          machine,
          [](std::span<const Tensor> in) -> std::vector<Tensor> {
            return {sum(square(transpose(in[0], 0, 1)) + in[1], 1)};
          },
          {{f32, {40, 70}}, {f32, {40}}},
          0) == "square + add + sum");
}

TEST_CASE("a fold's shader takes what it has room for", "[vulkan]") {
  Machine machine;
  const auto last = [&](const GraphFunction& function, const std::vector<Meta>& metas) {
    return compare(machine, function, metas, 0);
  };
  // Split in two ways.
  CHECK(
      last(
          [](std::span<const Tensor> in) -> std::vector<Tensor> {
            return {sum(in[0] * in[1] * in[2])};
          },
          {{f32, {4, 5, 6}}, {f32, {6}}, {f32, {4, 1, 1}}}) == "sum");
  // Repeated between axes that are not.
  CHECK(
      last(
          [](std::span<const Tensor> in) -> std::vector<Tensor> { return {sum(in[0] * in[1])}; },
          {{f32, {4, 5, 6}}, {f32, {4, 1, 6}}}) == "sum");
  // Copied in front, with its axes in another order.
  CHECK(
      last(
          [](std::span<const Tensor> in) -> std::vector<Tensor> {
            return {sum(in[0] * 2, {1, 3, 5}, false)};
          },
          {{f32, {2, 3, 2, 3, 2, 3}}}) == "sum");
  CHECK(chain_has_room(7, 0));
  CHECK(chain_has_room(5, 2));
  CHECK_FALSE(chain_has_room(8, 0));
  CHECK_FALSE(chain_has_room(5, 3));
}

TEST_CASE("a chain's shader is found again by what it computes", "[vulkan]") {
  Options options = test::way(false);
  options.cache_folder.clear();
  Machine machine(options);
  const auto compiled = [&](double slope, const Shape& other, bool least) {
    const Meta metas[] = {{f32, {6, 8}}, {f32, other}};
    const std::vector<Tensor> inputs{ones({6, 8}), ones(other)};
    const std::uint64_t before = machine.counts().shaders_compiled;
    Program program = Program::capture(
        [&](std::span<const Tensor> in) -> std::vector<Tensor> {
          const Tensor x = leaky_relu(in[0] + in[1], slope);
          return {least ? amin(x, {1}) : amax(x, {1})};
        },
        metas);
    (void)program.run(inputs)[0].value();
    return machine.counts().shaders_compiled - before;
  };
  CHECK(compiled(0.5, {6, 8}, false) == 1);
  CHECK(compiled(0.5, {6, 8}, false) == 0);
  CHECK(compiled(0.25, {6, 8}, false) == 1);
  CHECK(compiled(0.5, {8}, false) == 1);
  CHECK(compiled(0.5, {6, 1}, false) == 1);
}

TEST_CASE("places in a chain's inputs follow from the shapes", "[vulkan]") {
  using Place = ChainPlaces::Place;
  const auto of = [](const Shape& shape, const Shape& input) {
    return ChainPlaces::of(shape, std::span(&input, 1));
  };
  const Shape shape{2, 3, 1, 4};
  CHECK(of(shape, {2, 3, 1, 4})->of_input[0] == Place::alike);
  CHECK(of(shape, {})->of_input[0] == Place::one);
  CHECK(of(shape, {1, 1})->of_input[0] == Place::one);
  CHECK(of({1}, {1})->of_input[0] == Place::alike);
  const auto row = of(shape, {3, 1, 4});
  CHECK(row->of_input[0] == Place::row);
  CHECK(row->split == 12);
  const auto column = of(shape, {2, 3, 1, 1});
  CHECK(column->of_input[0] == Place::column);
  CHECK(column->split == 4);
  CHECK_FALSE(of(shape, {3, 1, 1}));
}

}  // namespace troupe::vulkan
