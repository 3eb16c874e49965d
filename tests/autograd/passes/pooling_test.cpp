#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

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
    const Tensor inputs[] = {Tensor::copy_of<float>(elements, shape), test::drawn(windows.out, 4)};
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

namespace {

/// A convolution with 3×3 weights and its pooling, as a layer of a network has them.
struct Layer {
  Shape x;
  std::int64_t out;
  std::int64_t groups = 1;
  Dims stride{1, 1};
  bool active = true;
  std::int64_t channels = x[1] / groups;
  Parameter weight{Tensor::copy_of<float>(
      test::numbers(static_cast<std::size_t>(out * channels * 9), 3), {out, channels, 3, 3})};
  Parameter bias{Tensor::copy_of<float>(test::numbers(static_cast<std::size_t>(out), 4), {out})};

  [[nodiscard]] Tensor operator()(const Tensor& images) const {
    const Tensor y = conv2d(images, weight.tensor(), bias.tensor(), stride, {1, 1}, {1, 1}, groups);
    return max_pool2d(active ? relu(y) : y, {2, 2});
  }
};

}  // namespace

TEST_CASE("a convolution goes on with the pooling of its result", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  // One channel, tiles of 4×4, the plain sum, in groups, with a stride; images of odd sizes, and of
  // several strips.
  const std::vector<Layer> layers{
      {.x = {3, 1, 28, 28}, .out = 32},
      {.x = {2, 1, 9, 11}, .out = 5, .active = false},
      {.x = {5, 16, 14, 14}, .out = 29},
      {.x = {12, 32, 6, 6}, .out = 32},
      {.x = {2, 8, 13, 7}, .out = 16, .active = false},
      {.x = {2, 5, 10, 12}, .out = 6},
      {.x = {1, 24, 76, 40}, .out = 3},
      {.x = {2, 32, 9, 10}, .out = 64, .groups = 2},
      {.x = {2, 4, 17, 16}, .out = 8, .groups = 4, .stride = {2, 2}}};
  for (const Layer& layer : layers) {
    CAPTURE(to_string(layer.x));
    const std::string pooled = layer.active ? "conv2d + max_pool2d + relu" : "conv2d + max_pool2d";
    const GraphFunction answer = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      return {layer(in[0])};
    };
    const GraphFunction step = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      const Tensor y = layer(in[0]);
      const Tensor loss = sum(y * y);
      const Tensor input = layer.weight.tensor();
      return {y, grad(loss, input)};
    };
    for (const GraphFunction& function : {answer, step}) {
      const std::vector<std::string> names =
          test::names(test::capture(function, {layer.x}, passes));
      CHECK(std::count(names.begin(), names.end(), pooled) > 0);
      CHECK(std::count(names.begin(), names.end(), "conv2d") == 0);
      CHECK(test::same_bits(function, {layer.x}, passes));
      CHECK(test::same_bits(function, {layer.x}, Passes::all()));
    }
  }
}

TEST_CASE("a convolution's weights are packed though it pools", "[autograd][passes]") {
  test::Engine engine;
  const NoGrad frozen;
  for (const Layer& layer :
       std::vector<Layer>{{.x = {2, 1, 28, 28}, .out = 8}, {.x = {2, 16, 14, 14}, .out = 16}}) {
    const GraphFunction answer = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      return {layer(in[0])};
    };
    const Program program = test::capture(answer, {layer.x}, Passes::all());
    CHECK(test::names(program) == std::vector<std::string>{"pack", "conv2d + max_pool2d + relu"});
    CHECK(test::same_bits(answer, {layer.x}, Passes::all()));
  }
}

TEST_CASE("a convolution does not pool what others read, or other windows", "[autograd][passes]") {
  test::Engine engine;
  const Layer layer{.x = {2, 1, 8, 8}, .out = 4};
  const auto conv = [&](const Tensor& x) {
    return conv2d(x, layer.weight.tensor(), {}, {1, 1}, {1, 1});
  };
  const GraphFunction read = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = conv(in[0]);
    return {max_pool2d(y, {2, 2}), y};
  };
  const GraphFunction summed = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = conv(in[0]);
    return {max_pool2d(y, {2, 2}), sum(y)};
  };
  const GraphFunction overlapping = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {max_pool2d(conv(in[0]), {3, 3}, {2, 2})};
  };
  for (const GraphFunction& function : {read, summed, overlapping}) {
    const std::vector<std::string> names = test::names(test::capture(function, {layer.x}, passes));
    CHECK(names[0] == "conv2d");
    CHECK(names[1] == "max_pool2d");
  }
}
