#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

using namespace troupe;
using Catch::Matchers::ContainsSubstring;

namespace {

Tensor vector_of(std::vector<double> elements) {
  return Tensor::copy_of<double>(elements, {static_cast<std::int64_t>(elements.size())});
}

ErrorCode code_of(auto&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{};
}

}  // namespace

TEST_CASE("gradients follow the chain rule", "[autograd]") {
  const unsigned threads = GENERATE(1u, 2u, 4u);
  test::Engine engine(threads);
  const Tensor x = requires_grad(vector_of({1, 2, 3}));
  const Tensor y = requires_grad(vector_of({4, 5, 6}));

  const Tensor loss = sum(x * y + x * x);
  CHECK(loss.item() == 1 * 4 + 2 * 5 + 3 * 6 + 1 + 4 + 9);
  backward(loss);

  CHECK(grad_of(x).to_vector<double>() == std::vector<double>{6, 9, 12});
  CHECK(grad_of(y).to_vector<double>() == std::vector<double>{1, 2, 3});
}

TEST_CASE("a leaf without a backward pass has no gradient", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(vector_of({1}));
  CHECK_FALSE(grad_of(x).defined());
}

TEST_CASE("gradients of several passes add up", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  const Tensor x = requires_grad(vector_of({2}));
  for (int pass = 1; pass <= 3; ++pass) {
    backward(sum(x * x));
    CHECK(grad_of(x).item() == 4 * pass);
  }
}

TEST_CASE("a graph is gone after a pass that did not retain it", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(vector_of({3}));
  const Tensor y = x * x;
  const Tensor loss = sum(y);
  backward(loss, {}, {.retain_graph = true});
  backward(loss);
  CHECK(grad_of(x).item() == 12);
  CHECK(code_of([&] { backward(loss); }) == ErrorCode::graph_freed);
  CHECK(code_of([&] { (void)grad(sum(y), x); }) == ErrorCode::graph_freed);
}

TEST_CASE("broadcast inputs get the sum over their copies", "[autograd]") {
  test::Engine engine;
  const Tensor row = requires_grad(Tensor::copy_of<double>(std::vector<double>{1, 2, 3}, {1, 3}));
  const Tensor column = requires_grad(Tensor::copy_of<double>(std::vector<double>{10, 20}, {2, 1}));
  backward(sum(row * column));
  CHECK(grad_of(row).shape() == Shape{1, 3});
  CHECK(grad_of(row).to_vector<double>() == std::vector<double>{30, 30, 30});
  CHECK(grad_of(column).to_vector<double>() == std::vector<double>{6, 6});
}

TEST_CASE("a tensor used many times sums its gradients in the order of use", "[autograd]") {
  // Float addition is not associative: any other order would show in the last bits.
  std::vector<std::uint32_t> expected;
  for (const unsigned threads : {1u, 2u, 4u}) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      test::Engine engine(threads);
      const Tensor x = requires_grad(Tensor::copy_of<float>(test::numbers(64, 7), {64}));
      Tensor total = x * 0.1f;
      for (int i = 0; i < 12; ++i) total = total + x * x * (0.37f * static_cast<float>(i + 1));
      backward(sum(total));
      const auto gradient = grad_of(x).to_vector<float>();
      std::vector<std::uint32_t> bits(gradient.size());
      std::memcpy(bits.data(), gradient.data(), bits.size() * 4);
      if (expected.empty()) expected = bits;
      REQUIRE(bits == expected);
    }
  }
}

TEST_CASE("a chain of a million ops neither recurses nor leaks", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(vector_of({1}));
  Tensor y = x;
  for (int i = 0; i < 1'000'000; ++i) y = y * 1.0;
  backward(sum(y));
  CHECK(grad_of(x).item() == 1);
  y = Tensor();
  CHECK(engine.system.actors_alive() <= 2);
}

TEST_CASE("dropping a graph that never went backward frees it without recursion", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(vector_of({1}));
  Tensor y = x;
  for (int i = 0; i < 300'000; ++i) y = y * 1.0;
  y = Tensor();
  CHECK(engine.system.actors_alive() <= 2);
}

TEST_CASE("no_grad and detach stop gradients", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(vector_of({2}));
  {
    const NoGrad no_grad;
    CHECK_FALSE((x * x).requires_grad());
    const EnableGrad enable;
    CHECK((x * x).requires_grad());
  }
  backward(sum(x * x.detach()));
  CHECK(grad_of(x).item() == 2);
}

TEST_CASE("hooks see a gradient and may replace it", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(vector_of({1, 2}));
  const Tensor y = x * 3.0;
  double seen = 0;
  register_hook(y, [&](const Tensor& gradient) {
    seen = gradient.elements() == 2 ? 1 : 0;
    return gradient * 10.0;
  });
  register_hook(x, [](const Tensor& gradient) { return gradient + 1.0; });
  backward(sum(y));
  CHECK(grad_of(x).to_vector<double>() == std::vector<double>{31, 31});
  CHECK(seen == 1);
}

TEST_CASE("grad() gives gradients of any tensor and adds to none", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  const Tensor x = requires_grad(vector_of({3}));
  const Tensor y = x * x;
  const Tensor z = sum(y * y);
  const Tensor inputs[] = {x, y};
  const auto gradients = grad(std::span(&z, 1), inputs);
  CHECK(gradients[0].item() == 4 * 27);
  CHECK(gradients[1].item() == 2 * 9);
  CHECK_FALSE(grad_of(x).defined());
}

TEST_CASE("grad() of something unused is an error unless allowed", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(vector_of({3}));
  const Tensor other = requires_grad(vector_of({3}));
  CHECK(code_of([&] { (void)grad(sum(x), other); }) == ErrorCode::not_differentiable);
  CHECK_FALSE(grad(sum(x), other, {.allow_unused = true}).defined());
}

TEST_CASE("create_graph gives second and third derivatives", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  const Tensor x = requires_grad(vector_of({0.7}));
  const Tensor y = sum(tanh(x));
  const Tensor first = grad(y, x, {.create_graph = true});
  const Tensor second = grad(sum(first), x, {.create_graph = true});
  const Tensor third = grad(sum(second), x);
  const double t = std::tanh(0.7);
  const double d1 = 1 - t * t;
  CHECK(first.item() == Catch::Approx(d1).epsilon(1e-12));
  CHECK(second.item() == Catch::Approx(-2 * t * d1).epsilon(1e-12));
  CHECK(third.item() == Catch::Approx(-2 * d1 * (1 - 3 * t * t)).epsilon(1e-12));
}

TEST_CASE("a failing backward call says why", "[autograd]") {
  test::Engine engine;
  const Tensor plain = vector_of({1, 2});
  CHECK(code_of([&] { backward(sum(plain)); }) == ErrorCode::not_differentiable);
  const Tensor x = requires_grad(plain);
  CHECK(code_of([&] { backward(x * x); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { backward(x * x, vector_of({1})); }) == ErrorCode::shape_mismatch);
  CHECK_THROWS_WITH(backward(x * x), ContainsSubstring("sum() or mean()"));
  CHECK_THROWS_WITH(backward(x * x), ContainsSubstring("backward_test.cpp"));
}

TEST_CASE("dropping the loss right after backward loses no work", "[autograd]") {
  test::Engine engine(2);
  const Tensor x = requires_grad(Tensor::copy_of<float>(test::numbers(1 << 16, 3), {256, 256}));
  {
    const Tensor loss = sum(matmul(x, x));
    backward(loss);
  }
  CHECK(grad_of(x).to_vector<float>().size() == 1 << 16);
}

TEST_CASE("hooks see the gradients that create_graph records", "[autograd]") {
  test::Engine engine;
  const auto second = [&](bool create_graph) {
    const Tensor x = requires_grad(vector_of({3}));
    const Tensor y = x * x;
    register_hook(y, [](const Tensor& gradient) { return gradient * 10.0; });
    register_hook(x, [](const Tensor& gradient) { return gradient + 1.0; });
    return grad(sum(y * y), x, {.create_graph = create_graph}).item();
  };
  CHECK(second(false) == 4 * 27 * 10 + 1);
  CHECK(second(true) == second(false));

  const Tensor x = requires_grad(vector_of({3}));
  Parameter w(vector_of({2}));
  w.register_hook([](const Tensor& gradient) { return gradient * 5.0; });
  const Tensor first = grad(sum(x * w.tensor() * w.tensor()), w.tensor(), {.create_graph = true});
  CHECK(first.item() == 2 * 3 * 2 * 5);
  CHECK(grad(sum(first), x).item() == 2 * 2 * 5);
}

TEST_CASE("random numbers are refused where the order of calls is not fixed", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  for (const bool create_graph : {false, true}) {
    const Tensor x = requires_grad(vector_of({3, 4}));
    const Tensor y = x * 2.0;
    register_hook(y, [](const Tensor& gradient) { return dropout(gradient, 0.5); });
    CHECK_THROWS_WITH(
        grad(sum(y), x, {.create_graph = create_graph}).to_vector<double>(),
        ContainsSubstring("dropout") && ContainsSubstring("draw them in the forward pass"));
  }
}

TEST_CASE("a hook's gradient of another dtype is refused with op and both", "[autograd]") {
  test::Engine engine;
  for (const bool create_graph : {false, true}) {
    const Tensor x = requires_grad(vector_of({3, 4}));
    const Tensor y = tanh(x);
    register_hook(y, [](const Tensor& gradient) { return cast(gradient, DType::float32); });
    CHECK_THROWS_WITH(
        grad(sum(y), x, {.create_graph = create_graph}).to_vector<double>(),
        ContainsSubstring("tanh") && ContainsSubstring("float32[2]") &&
            ContainsSubstring("float64[2]"));
  }
}

TEST_CASE("of several failures the first by edge is told", "[autograd]") {
  for (const unsigned threads : {1u, 2u, 4u}) {
    for (int repeat = 0; repeat < 10; ++repeat) {
      test::Engine engine(threads);
      const Tensor x = requires_grad(vector_of({1}));
      Tensor total = vector_of({0});
      for (int i = 0; i < 8; ++i) {
        const Tensor y = x * 2.0;
        register_hook(y, [i](const Tensor&) -> Tensor {
          throw Error(ErrorCode::op_failed, "planted " + std::to_string(i));
        });
        total = y + total;
      }
      backward(sum(total));
      CHECK_THROWS_WITH(grad_of(x), ContainsSubstring("planted 0"));
    }
  }
}

TEST_CASE("a failure that comes late names op, shapes and the line of the call", "[autograd]") {
  test::Engine engine(GENERATE(1u, 2u));
  const Meta meta{DType::int64, {1}};
  Awaiting late = make_awaiting(engine.device, meta, nullptr, 0, Where::here());
  const Tensor table = Tensor::copy_of<double>(std::vector<double>{1, 2}, {2, 1});
  const std::uint32_t line = __LINE__ + 1;
  const Tensor row = embedding(late.tensor, table);
  const Tensor built_on_it = sum(row * 2.0);
  const Tensor index = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{9}, {1});
  Address<Input>(late.cell).send(Input{0, index.value()});
  try {
    (void)built_on_it.item();
    FAIL("no error");
  } catch (const Error& error) {
    CAPTURE(error.what());
    CHECK(error.op() == "embedding");
    CHECK(error.file().ends_with("backward_test.cpp"));
    CHECK(error.line() == line);
    CHECK(error.message().find("float64[2, 1]") != std::string::npos);
  }
}
