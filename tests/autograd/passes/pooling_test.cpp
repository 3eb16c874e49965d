#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstring>
#include <limits>

using namespace troupe;

namespace {

const Passes passes = Passes::until(Pass::pooling);

/// relu and pooling of a product with a parameter, and the parameter's gradient.
GraphFunction net(Parameter& weight, const Dims& kernel, const Dims& stride, const Dims& padding) {
  return [&weight, kernel, stride, padding](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = max_pool2d(relu(in[0] * weight.tensor()), kernel, stride, padding);
    const Tensor loss = sum(y * in[1]);
    const Tensor input = weight.tensor();
    return {y, grad(loss, input)};
  };
}

std::vector<std::uint32_t> bits(const Tensor& tensor) {
  const auto elements = tensor.to_vector<float>();
  std::vector<std::uint32_t> out(elements.size());
  std::memcpy(out.data(), elements.data(), out.size() * 4);
  return out;
}

}  // namespace

TEST_CASE("a pooling does the activation before it, forward and back", "[autograd][passes]") {
  test::Engine engine;
  // Overlapping windows, padding, and what tiles the plane; zeros of both signs, equal maxima, NaN
  // and infinities among the elements.
  struct Windows {
    Dims kernel, stride, padding;
    Shape out;
  };
  for (const Windows& windows :
       {Windows{{2, 2}, {2, 2}, {0, 0}, {2, 3, 3, 4}},
        Windows{{3, 3}, {2, 2}, {1, 1}, {2, 3, 3, 4}},
        Windows{{3, 2}, {1, 1}, {0, 0}, {2, 3, 4, 7}}}) {
    const Shape shape{2, 3, 6, 8};
    auto elements = test::numbers(static_cast<std::size_t>(elements_in(shape)), 3);
    for (std::size_t i = 0; i < elements.size(); i += 3)
      elements[i] = elements[i] > 0 ? 0.5f : -0.f;
    elements[10] = std::numeric_limits<float>::quiet_NaN();
    elements[40] = std::numeric_limits<float>::infinity();
    elements[90] = -std::numeric_limits<float>::infinity();
    const Tensor inputs[] = {
        Tensor::copy_of<float>(elements, shape),
        Tensor::copy_of<float>(
            test::numbers(static_cast<std::size_t>(elements_in(windows.out)), 4), windows.out)};
    Parameter weight(ones(shape));
    const GraphFunction function = net(weight, windows.kernel, windows.stride, windows.padding);
    const auto run = [&](Passes which) {
      Program program = test::capture(function, {shape, windows.out}, which);
      const std::vector<Tensor> results = program.run(inputs);
      return std::pair(bits(results[0]), bits(results[1]));
    };
    CHECK(run(Passes::none()) == run(passes));
    const Program program = test::capture(function, {shape, windows.out}, passes);
    const std::vector<std::string> names = test::names(program);
    const auto count = [&](std::string_view name) {
      return std::count(names.begin(), names.end(), name);
    };
    CHECK(count("max_pool2d + relu") == 1);
    CHECK(count("max_pool2d_backward + relu_backward") == 1);
    CHECK(count("relu") + count("relu_backward") == 0);
  }
}

TEST_CASE("an activation that others read stays where it is", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor active = relu(in[0]);
    return {max_pool2d(active, {2, 2}), sum(active)};
  };
  CHECK(
      test::names(test::capture(function, {{1, 1, 4, 4}}, passes)) ==
      std::vector<std::string>{"relu", "max_pool2d", "sum"});
  const GraphFunction alone = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {max_pool2d(relu(in[0]), {2, 2})};
  };
  CHECK(
      test::names(test::capture(alone, {{1, 1, 4, 4}}, passes)) ==
      std::vector<std::string>{"max_pool2d + relu"});
  CHECK(test::same_bits(alone, {{1, 1, 4, 4}}, passes));

  // So it does where somebody is given the places of the maxima: among zeros another one is first.
  const GraphFunction places = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor active = relu(in[0]);
    const Operand input(active);
    Tensor outputs[2];
    apply(
        make_op(MaxPool2d{{{}, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false}}),
        std::span<const Operand>(&input, 1),
        outputs);
    return {outputs[0], outputs[1]};
  };
  CHECK(test::names(test::capture(places, {{1, 1, 4, 4}}, passes))[0] == "relu");
}

TEST_CASE("places that nobody reads are not made", "[autograd][passes]") {
  test::Engine engine;
  const auto outputs_of_pooling = [](const Program& program) {
    std::size_t outputs = 0;
    for (const Graph::Op& op : program.graph().ops)
      if (name_of(op).starts_with("max_pool2d")) outputs += op.outputs.size();
    return outputs;
  };
  for (const bool active : {false, true}) {
    const GraphFunction function = [active](std::span<const Tensor> in) -> std::vector<Tensor> {
      return {max_pool2d(active ? relu(in[0]) : in[0], {2, 2})};
    };
    CHECK(outputs_of_pooling(test::capture(function, {{2, 1, 6, 4}}, passes)) == 1);
    CHECK(test::same_bits(function, {{2, 1, 6, 4}}, passes));
  }
  Parameter weight(ones({2, 1, 6, 4}));
  const GraphFunction trained = net(weight, {2, 2}, {2, 2}, {0, 0});
  CHECK(outputs_of_pooling(test::capture(trained, {{2, 1, 6, 4}, {2, 1, 3, 2}}, passes)) == 3);
}

TEST_CASE(
    "places are of 32 bits where a window and none are too many for 8", "[autograd][passes]") {
  test::Engine engine;
  const Shape shape{1, 2, 17, 18};
  Parameter weight(ones(shape));
  const GraphFunction function = net(weight, {16, 16}, {1, 1}, {0, 0});
  CHECK(test::same_bits(function, {shape, {1, 2, 2, 3}}, passes));
}
