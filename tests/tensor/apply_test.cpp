#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/tensor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using namespace troupe;

namespace {

template <class T>
Tensor of(std::vector<T> elements) {
  return Tensor::copy_of<T>(elements, {static_cast<std::int64_t>(elements.size())});
}

std::string message_of(auto&& call) {
  try {
    (void)call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("operands meet in PyTorch's common dtype", "[tensor]") {
  test::Engine engine;
  const Tensor f32 = of<float>({1, 2}), f64 = of<double>({1, 2});
  const Tensor i32 = of<std::int32_t>({1, 2}), i64 = of<std::int64_t>({1, 2});
  const Tensor zero_d = Tensor::copy_of<double>(std::vector<double>{2}, {});
  CHECK((f32 + f64).dtype() == DType::float64);
  CHECK((i32 + f32).dtype() == DType::float32);
  CHECK((i32 + i64).dtype() == DType::int64);
  CHECK((f32 + 1).dtype() == DType::float32);
  CHECK((f32 + 1.5).dtype() == DType::float32);
  CHECK((i32 + 1).dtype() == DType::int32);
  CHECK((i32 + 1.5).dtype() == DType::float32);
  CHECK((f32 * zero_d).dtype() == DType::float32);  // a scalar tensor weighs less
  CHECK((i32 * zero_d).dtype() == DType::float64);
  CHECK((i32 / i32).dtype() == DType::float32);
  CHECK((1 - f32).to_vector<float>() == std::vector<float>{0, -1});
}

TEST_CASE("shapes that do not fit are named with op, line and hint", "[tensor]") {
  test::Engine engine;
  const Tensor a = Tensor::copy_of<float>(std::vector<float>(6), {2, 3});
  const Tensor b = Tensor::copy_of<float>(std::vector<float>(8), {2, 4});
  const std::string text = message_of([&] { return a + b; });
  CHECK(has(text, "shape_mismatch"));
  CHECK(has(text, "add"));
  CHECK(has(text, "[2, 3]"));
  CHECK(has(text, "[2, 4]"));
  CHECK(has(text, "apply_test.cpp"));
  CHECK(has(text, "hint"));
}

TEST_CASE("storage dtypes are refused with the way out", "[tensor]") {
  test::Engine engine;
  const Tensor half = cast(of<float>({1, 2}), DType::bfloat16);
  CHECK(has(message_of([&] { return half + half; }), "cast(x, DType::float32)"));
  CHECK(cast(half, DType::float32).to_vector<float>() == std::vector<float>{1, 2});
}

TEST_CASE("an undefined tensor is an error, not a crash", "[tensor]") {
  test::Engine engine;
  const Tensor nothing;
  CHECK(has(message_of([&] { return nothing + 1.0; }), "undefined"));
  CHECK(has(message_of([&] { return of<float>({1}) * nothing; }), "undefined"));
  CHECK(has(message_of([&] { return nothing.item(); }), "undefined"));
}

TEST_CASE("a call without a scope says how to make one", "[tensor]") {
  CHECK(has(message_of([] { return of<float>({1}); }), "troupe::Scope scope(system)"));
}

TEST_CASE("large ops run on all threads and small ones at once, with the same bits", "[tensor]") {
  std::vector<float> expected;
  for (const unsigned threads : {1u, 2u, 4u}) {
    test::Engine engine(threads);
    const auto x = Tensor::copy_of<float>(test::numbers(1 << 18, 5), {512, 512});
    const Tensor y = tanh(matmul(x, x.detach()) * 0.01f) + sum(x, {0});
    const auto seen = y.to_vector<float>();
    if (expected.empty()) expected = seen;
    REQUIRE(seen == expected);
  }
}

TEST_CASE("a caller far ahead of the workers is held back", "[tensor]") {
  test::Engine engine(2);
  Tensor x = Tensor::copy_of<float>(std::vector<float>(1 << 22, 1.0f), {1 << 22});
  const troupe::Engine& shared = troupe::Engine::of(engine.system);
  std::int64_t most = 0;
  for (int i = 0; i < 200; ++i) {  // 3.2 GB of outputs asked for
    x = x * 1.0f;
    most = std::max(most, shared.pending_bytes());
  }
  CHECK(most > 0);
  CHECK(most <= troupe::Engine::pending_bytes_max);
  CHECK(x.to_vector<float>()[5] == 1.0f);
  CHECK(shared.pending_bytes() == 0);
}
