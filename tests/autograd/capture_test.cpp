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
