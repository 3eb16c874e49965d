#include "case.hpp"
#include "support/engine.hpp"
#include "support/vulkan.hpp"
#ifdef TROUPE_VULKAN
#include "both.hpp"
#endif

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

// Goal: Autocast changes what products are computed in, forward and backward, and nothing else;
// through both doors, on any number of threads, with the same bits. Method: a small network with
// every kind of product, beside the same one with the casts written out.

using namespace troupe;

namespace {

/// Runs on the Vulkan device under test, or on the CPU with 1, 2 and 4 threads.
void on_each(const std::function<void()>& body) {
#ifdef TROUPE_VULKAN
  if (conformance::ran_on_vulkan(body)) return;
#endif
  for (const unsigned threads : {1u, 2u, 4u}) {
    INFO(threads << " threads");
    System system(System::Options{.threads = threads});
    cpu::attach(system);
    const Scope scope(system);
    body();
  }
}

/// What a network calls for its products.
struct Products {
  std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)> linear;
  std::function<Tensor(const Tensor&, const Tensor&)> matmul;
  std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)> conv2d;
};

/// One weight serves two products, as a tied embedding does.
std::vector<Tensor> network(
    const Products& products,
    const Tensor& x,
    const Tensor& weight,
    const Tensor& bias,
    const Tensor& mixing,
    const Tensor& filters,
    const Tensor& filters_of_many,
    const Tensor& offsets) {
  const Tensor hidden = gelu(products.linear(x, weight, bias));  // [6, 40, 32]
  const Tensor scores = products.matmul(hidden, transpose(hidden, -2, -1));
  const Tensor attended = products.matmul(softmax(scores, -1), hidden) + hidden;
  const Tensor mixed = products.linear(layer_norm(attended, {32}), mixing, Tensor());
  const Tensor images = relu(products.conv2d(reshape(x, {6, 1, 40, 24}), filters, offsets));
  const Tensor smaller = max_pool2d(images, {2});  // [6, 8, 20, 12]
  const Tensor twice = products.conv2d(smaller, filters_of_many, Tensor());
  const Tensor again = products.linear(mixed, weight, bias) + mean(square(twice));
  return {mean(square(again)), again};
}

const Products automatic{
    [](const Tensor& x, const Tensor& w, const Tensor& b) { return linear(x, w, b); },
    [](const Tensor& a, const Tensor& b) { return matmul(a, b); },
    [](const Tensor& x, const Tensor& w, const Tensor& b) { return conv2d(x, w, b, {1}, {1}); }};

Tensor narrow(const Tensor& x) { return cast(x, DType::bfloat16); }
const Products written_out{
    [](const Tensor& x, const Tensor& w, const Tensor& b) {
      const Tensor y = cast(linear(narrow(x), narrow(w)), DType::float32);
      return b ? y + b : y;
    },
    [](const Tensor& a, const Tensor& b) {
      return cast(matmul(narrow(a), narrow(b)), DType::float32);
    },
    [](const Tensor& x, const Tensor& w, const Tensor& b) {
      return cast(conv2d(narrow(x), narrow(w), b, {1}, {1}), DType::float32);
    }};

/// All bits of a step: loss, outputs and gradients; all of it float32.
std::vector<float> step_of(const Products& products, DType product_dtype, bool program) {
  Parameter weight(test::drawn({32, 24}, 2));
  Parameter bias(test::drawn({32}, 3));
  Parameter mixing(test::drawn({24, 32}, 4));
  Parameter filters(test::drawn({8, 1, 3, 3}, 5));
  Parameter filters_of_many(test::drawn({8, 8, 3, 3}, 6));
  Parameter offsets(test::drawn({8}, 7));
  const std::array all{&weight, &bias, &mixing, &filters, &filters_of_many, &offsets};
  const GraphFunction step = [&](std::span<const Tensor> in) {
    const Autocast autocast(product_dtype);
    for (Parameter* parameter : all) parameter->zero_grad();
    std::vector<Tensor> results = network(
        products,
        in[0],
        weight.tensor(),
        bias.tensor(),
        mixing.tensor(),
        filters.tensor(),
        filters_of_many.tensor(),
        offsets.tensor());
    backward(results[0]);
    for (Parameter* parameter : all) results.push_back(parameter->grad());
    return results;
  };
  const Tensor in[] = {test::drawn({6, 40, 24}, 1)};
  const Meta metas[] = {in[0].meta()};
  std::vector<float> bits;
  for (const Tensor& result : program ? Program::capture(step, metas).run(in) : step(in)) {
    CHECK(result.dtype() == DType::float32);
    for (const float x : result.to_vector<float>()) bits.push_back(x);
  }
  return bits;
}

}  // namespace

TEST_CASE("Autocast is the casts written out, through both doors", "[conformance][autocast]") {
  std::vector<float> first;
  on_each([&] {
    const std::vector<float> expected = step_of(written_out, DType::float32, false);
    CHECK(step_of(written_out, DType::float32, true) == expected);
    CHECK(step_of(automatic, DType::bfloat16, false) == expected);
    CHECK(step_of(automatic, DType::bfloat16, true) == expected);
    CHECK(step_of(automatic, DType::float32, false) != expected);
    if (first.empty()) first = expected;
    CHECK(expected == first);
  });
}

// A second derivative is a product of what the first was made of.
TEST_CASE("gradients of gradients are Autocast's too", "[conformance][autocast]") {
  on_each([&] {
    const auto second = [](const Products& products, DType product_dtype) {
      const Autocast autocast(product_dtype);
      const Parameter weight(test::drawn({8, 8}, 2));
      const Tensor w = weight.tensor();
      const Tensor y = sum(square(products.matmul(products.matmul(test::drawn({8, 8}, 1), w), w)));
      const Tensor inputs[] = {w};
      const Tensor outputs[] = {y};
      const Tensor first = grad(outputs, inputs, {}, {.create_graph = true})[0];
      const Tensor sums[] = {sum(square(first))};
      return grad(sums, inputs)[0].to_vector<float>();
    };
    const std::vector<float> expected = second(written_out, DType::float32);
    CHECK(second(automatic, DType::bfloat16) == expected);
    CHECK(second(automatic, DType::float32) != expected);
  });
}

TEST_CASE("a compiled function is captured anew under Autocast", "[conformance][autocast]") {
  on_each([&] {
    CompiledFunction product(
        [](std::span<const Tensor> in) { return std::vector<Tensor>{matmul(in[0], in[1])}; });
    const Tensor in[] = {test::drawn({9, 40}, 1), test::drawn({40, 9}, 2)};
    const std::vector<float> plain = product(in)[0].to_vector<float>();
    {
      const Autocast autocast;
      CHECK(product(in)[0].to_vector<float>() == matmul(in[0], in[1]).to_vector<float>());
    }
    CHECK(product(in)[0].to_vector<float>() == plain);
    CHECK(plain == matmul(in[0], in[1]).to_vector<float>());
    CHECK(product.programs() == 2);
  });
}

TEST_CASE("a weight is cast once in a program", "[conformance][autocast]") {
  on_each([&] {
    const Parameter weight(test::drawn({16, 16}, 1));
    const Meta metas[] = {Meta{DType::float32, {4, 16}}};
    const Program program = Program::capture(
        [&](std::span<const Tensor> in) {
          const Autocast autocast;
          return std::vector<Tensor>{linear(linear(in[0], weight.tensor()), weight.tensor())};
        },
        metas);
    const std::string text = program.to_string();
    std::size_t casts = 0;
    for (std::size_t at = text.find("bfloat16[16, 16]"); at != std::string::npos;
         at = text.find("bfloat16[16, 16]", at + 1))
      ++casts;
    CAPTURE(text);
    CHECK(casts == 1);
  });
}
