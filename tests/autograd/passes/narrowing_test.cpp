#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <sstream>

using namespace troupe;

namespace {

const Passes passes = Passes::until(Pass::pooling);

/// The dtypes of what ops of a name give first.
std::vector<DType> dtypes_of(const Program& program, std::string_view name) {
  std::vector<DType> dtypes;
  for (const Graph::Op& op : program.graph().ops)
    if (name_of(op).find(name) != std::string::npos)
      dtypes.push_back(program.graph().metas[op.outputs[0]].dtype);
  return dtypes;
}

}  // namespace

// Goal: between products in bfloat16 nothing is widened that is only moved and compared, forward
// and back, and no bit changes.
TEST_CASE("what lies between casts stays bfloat16", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const Parameter first(test::drawn({8, 1, 3, 3}, 1));
  const Parameter offsets(test::drawn({8}, 2));
  const Parameter second(test::drawn({16, 8, 3, 3}, 3));
  const Parameter third(test::drawn({10, 16 * 3 * 3}, 4));
  const GraphFunction step = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Autocast autocast;
    const Dims one{1, 1};
    Tensor x = conv2d(in[0], first.tensor(), offsets.tensor(), one, one);
    x = max_pool2d(relu(x), {2});
    x = max_pool2d(relu(conv2d(x, second.tensor(), {}, one, one)), {2});
    const Tensor y = linear(flatten(x, 1), third.tensor());
    const Tensor loss = sum(y * y);
    const Tensor leaves[] = {first.tensor(), offsets.tensor(), second.tensor(), third.tensor()};
    std::vector<Tensor> results = grad(std::span(&loss, 1), leaves);
    results.push_back(y);
    return results;
  };
  const Program program = test::capture(step, {{3, 1, 12, 12}}, passes);
  const std::vector<DType> narrow(2, DType::bfloat16);
  CHECK(dtypes_of(program, "max_pool2d_backward") == narrow);
  std::vector<DType> pooled;
  for (const Graph::Op& op : program.graph().ops)
    if (name_of(op).find("max_pool2d + relu") != std::string::npos)
      pooled.push_back(program.graph().metas[op.outputs[0]].dtype);
  CHECK(pooled == narrow);
  CHECK(test::same_bits(step, {{3, 1, 12, 12}}, passes));
  CHECK(test::same_bits(step, {{3, 1, 12, 12}}, Passes::all()));
}

TEST_CASE("what is added, or read wide, is widened", "[autograd][passes]") {
  test::Engine engine;
  const auto narrow = [](const Tensor& x) { return cast(x, DType::bfloat16); };
  const auto wide = [](const Tensor& x) { return cast(x, DType::float32); };
  const auto pooled_dtype = [](const GraphFunction& function, std::string_view name) {
    CHECK(test::same_bits(function, {{2, 3, 8, 8}}, Passes::all()));
    return dtypes_of(test::capture(function, {{2, 3, 8, 8}}, passes), name).at(0);
  };
  CHECK(
      pooled_dtype(
          [&](std::span<const Tensor> in) -> std::vector<Tensor> {
            return {wide(narrow(max_pool2d(wide(narrow(in[0])), {2})))};
          },
          "max_pool2d") == DType::bfloat16);
  // The program hands it out, too.
  CHECK(
      pooled_dtype(
          [&](std::span<const Tensor> in) -> std::vector<Tensor> {
            const Tensor y = max_pool2d(wide(narrow(in[0])), {2});
            return {y, wide(narrow(y))};
          },
          "max_pool2d") == DType::float32);
  // It was never narrow.
  CHECK(
      pooled_dtype(
          [&](std::span<const Tensor> in) -> std::vector<Tensor> {
            return {wide(narrow(max_pool2d(in[0], {2})))};
          },
          "max_pool2d") == DType::float32);
  // Windows that overlap add up gradients; those that do not move them.
  for (const std::int64_t size : {2, 3}) {
    const Parameter weight(test::drawn({2, 3, 8, 8}, 5));
    const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      const Tensor x = narrow(in[0] * weight.tensor());
      const Tensor y = max_pool2d(wide(x), {size}, {2});
      const Tensor loss = sum(square(wide(narrow(y))));
      return {grad(loss, weight.tensor())};
    };
    CHECK(
        pooled_dtype(function, "max_pool2d_backward") ==
        (size == 2 ? DType::bfloat16 : DType::float32));
  }
}
