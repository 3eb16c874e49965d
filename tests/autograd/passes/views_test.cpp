#include "graphs.hpp"

#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

namespace {
const Passes passes = Passes::until(Pass::views);
}

TEST_CASE("views that change nothing are not there", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor same = permute(expand(reshape(in[0], {2, 3}), {2, 3}), {0, 1}).detach();
    return {tanh(same), same};
  };
  CHECK(test::names(test::capture(function, {{2, 3}}, passes)) == std::vector<std::string>{"tanh"});
  CHECK(test::same_bits(function, {{2, 3}}, passes));
}

TEST_CASE("a view of a view is one view", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction reshapes = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {reshape(reshape(in[0], {6, 4}), {3, 8})};
  };
  CHECK(test::names(test::capture(reshapes, {{2, 3, 4}}, passes)).size() == 1);
  CHECK(test::same_bits(reshapes, {{2, 3, 4}}, passes));

  // Two turns of three axes are a third one.
  const GraphFunction turns = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {contiguous(permute(permute(in[0], {1, 2, 0}), {0, 2, 1}))};
  };
  CHECK(
      test::names(test::capture(turns, {{2, 3, 4}}, passes)) ==
      std::vector<std::string>{"permute", "copy"});
  CHECK(test::same_bits(turns, {{2, 3, 4}}, passes));

  const GraphFunction back = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {matmul(transpose(transpose(in[0], 0, 1), 0, 1), in[1])};
  };
  CHECK(
      test::names(test::capture(back, {{3, 4}, {4, 2}}, passes)) ==
      std::vector<std::string>{"matmul"});
  CHECK(test::same_bits(back, {{3, 4}, {4, 2}}, passes));
}

TEST_CASE("a view that something else reads stays", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor rows = reshape(in[0], {6, 4});
    return {rows, reshape(rows, {24})};
  };
  CHECK(test::capture(function, {{2, 3, 4}}, passes).op_count() == 2);
  CHECK(test::same_bits(function, {{2, 3, 4}}, passes));
}
