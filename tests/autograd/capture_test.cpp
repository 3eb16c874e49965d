#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/capture.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

namespace {

/// What capturing the function throws.
ErrorCode refused(const GraphFunction& function) {
  const Meta meta{DType::float32, {3}};
  try {
    (void)Program::capture(function, std::span(&meta, 1));
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{};
}

}  // namespace

TEST_CASE("a recorded tensor has no data", "[autograd]") {
  test::Engine engine;
  CHECK(refused([](auto in) {
          (void)sum(in[0]).item();
          return std::vector<Tensor>{in[0]};
        }) == ErrorCode::in_capture);
}

TEST_CASE("a recorded tensor is of no use outside its capture", "[autograd]") {
  test::Engine engine;
  Tensor leaked;
  CHECK(refused([&](auto in) {
          leaked = in[0] + 1.0f;
          return std::vector<Tensor>{leaked};
        }) == ErrorCode{});
  CHECK_THROWS_AS(leaked + 1.0f, Error);
  const auto code_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode{};
  };
  const Meta meta{DType::float32, {3}};
  const auto same = [](std::span<const Tensor> in) { return std::vector<Tensor>{in[0]}; };
  Program program = Program::capture(same, std::span(&meta, 1));
  Parameter w(Tensor::copy_of<float>(test::numbers(3, 1), {3}));
  Tensor root;
  CHECK(refused([&](auto in) {
          root = sum(in[0] * w.tensor());
          return std::vector<Tensor>{root};
        }) == ErrorCode{});
  CHECK(code_of([&] { (void)program.run(std::span(&leaked, 1)); }) == ErrorCode::in_capture);
  CHECK(code_of([&] { backward(root); }) == ErrorCode::in_capture);
  CHECK(code_of([&] { (void)grad(root, root); }) == ErrorCode::in_capture);
  CHECK(code_of([&] { w.set(leaked); }) == ErrorCode::in_capture);
  CHECK(code_of([&] { w.set_grad(leaked); }) == ErrorCode::in_capture);
  CHECK(code_of([&] { (void)grad_of(root); }) == ErrorCode::in_capture);
  CHECK(code_of([&] { Parameter copy(leaked); }) == ErrorCode::in_capture);
  CHECK(code_of([&] { (void)program.run(std::vector<Tensor>(1)); }) == ErrorCode::invalid_argument);
  CHECK(refused([&](auto in) { return program.run(in); }) == ErrorCode::in_capture);
  CHECK(refused([&](auto in) {
          return std::vector<Tensor>{in[0] + leaked};
        }) == ErrorCode::in_capture);
  CHECK(w.tensor().to_vector<float>() == test::numbers(3, 1));
}

TEST_CASE("gradients that no run would keep are refused", "[autograd]") {
  test::Engine engine;
  Parameter w(Tensor::copy_of<float>(test::numbers(3, 1), {3}));
  const auto step = [&](bool zeroes, bool steps, bool reads) {
    return refused([&, zeroes, steps, reads](auto in) {
      if (zeroes) w.zero_grad();
      const Tensor loss = sum(in[0] * w.tensor());
      backward(loss);
      std::vector<Tensor> returned{loss};
      if (reads) returned.push_back(w.grad());
      if (steps)
        w.apply(make_op(SgdUpdate{}), 0, Capture::current()->scalars([](std::span<double>) {}, 2));
      return returned;
    });
  };
  CHECK(step(true, true, false) == ErrorCode{});
  CHECK(step(true, false, true) == ErrorCode{});
  CHECK(step(true, false, false) == ErrorCode::unsupported);
  CHECK(step(false, true, false) == ErrorCode::unsupported);
  CHECK(step(false, false, true) == ErrorCode::unsupported);
}

TEST_CASE("grad() records gradients to go backward through only if asked", "[autograd]") {
  test::Engine engine;
  Parameter w(Tensor::copy_of<float>(test::numbers(3, 1), {3}));
  for (const bool create_graph : {false, true})
    CHECK(refused([&, create_graph](auto in) {
            const Tensor y = sum(in[0] * w.tensor() * w.tensor());
            const Tensor gradient = grad(y, w.tensor(), {.create_graph = create_graph});
            CHECK(gradient.requires_grad() == create_graph);
            return std::vector<Tensor>{gradient};
          }) == ErrorCode{});
}

TEST_CASE("a capture goes backward from what it recorded alone", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(Tensor::copy_of<float>(test::numbers(3, 1), {3}));
  const Tensor loss = sum(x);
  CHECK(refused([&](auto in) {
          backward(loss);
          return std::vector<Tensor>{in[0]};
        }) == ErrorCode::unsupported);
}

TEST_CASE("a live tensor that requires a gradient cannot enter a capture", "[autograd]") {
  test::Engine engine;
  const Tensor x = requires_grad(Tensor::copy_of<float>(test::numbers(3, 1), {3}));
  CHECK(refused([&](auto in) { return std::vector<Tensor>{in[0] * x}; }) == ErrorCode::unsupported);
  CHECK(refused([&](auto in) { return std::vector<Tensor>{in[0] * x.detach()}; }) == ErrorCode{});
}

TEST_CASE("hooks cannot be captured", "[autograd]") {
  test::Engine engine;
  Parameter w(Tensor::copy_of<float>(test::numbers(3, 1), {3}));
  CHECK(refused([&](auto in) {
          const Tensor y = in[0] * w.tensor();
          register_hook(y, [](const Tensor& gradient) { return gradient; });
          return std::vector<Tensor>{y};
        }) == ErrorCode::in_capture);
}

TEST_CASE("one capture is one update", "[autograd]") {
  test::Engine engine;
  Parameter w(Tensor::copy_of<float>(test::numbers(3, 1), {3}));
  CHECK(refused([&](auto in) {
          backward(sum(in[0] * w.tensor()));
          w.apply(
              make_op(SgdUpdate{}), 0, Capture::current()->scalars([](std::span<double>) {}, 2));
          return std::vector<Tensor>{w.tensor() * 2.0f};
        }) == ErrorCode::unsupported);
}

TEST_CASE("captures do not nest, and a failed one leaves no trace", "[autograd]") {
  test::Engine engine;
  CHECK(refused([&](auto in) {
          const Meta meta{DType::float32, {1}};
          (void)Program::capture([](auto) { return std::vector<Tensor>{}; }, std::span(&meta, 1));
          return std::vector<Tensor>{in[0]};
        }) == ErrorCode::in_capture);
  CHECK(Capture::current() == nullptr);
  CHECK(sum(Tensor::copy_of<float>(std::vector<float>{1, 2}, {2})).item() == 3);
}
