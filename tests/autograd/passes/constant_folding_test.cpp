#include "graphs.hpp"

#include <troupe/core/error.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

namespace {
const Passes passes = Passes::until(Pass::constant_folding);
}

TEST_CASE("what depends on constants alone is computed once", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor triangle = ge(unsqueeze(arange(4), 1), arange(4));
    return {where(triangle, in[0], -1.0)};
  };
  const Program program = test::capture(function, {{4, 4}}, passes);
  CHECK(test::names(program) == std::vector<std::string>{"where"});
  CHECK(test::same_bits(function, {{4, 4}}, passes));
}

TEST_CASE("random calls are no constants", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor>) -> std::vector<Tensor> {
    return {dropout(ones({64}), 0.5)};
  };
  Program program = test::capture(function, {}, passes);
  CHECK(program.run({})[0].to_vector<float>() != program.run({})[0].to_vector<float>());
}

TEST_CASE("what is large is not kept to save computing it", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {in[0] + (expand(full({1}, 2), {1 << 20}) + 1)};
  };
  CHECK(
      test::names(test::capture(function, {{1 << 20}}, passes)) ==
      std::vector<std::string>{"add", "add"});
}

TEST_CASE("a constant that fails fails in each step", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const std::vector<std::int64_t> bad{7};
    return {in[0] + index_select(zeros({2}), 0, Tensor::copy_of<std::int64_t>(bad, {1}))};
  };
  Program program = test::capture(function, {{1}}, passes);
  CHECK(program.op_count() == 2);
  for (int step = 0; step < 2; ++step) {
    const Tensor result = program.run(test::inputs_for({{1}}))[0];
    CHECK_THROWS_AS(result.value(), Error);
  }
}
