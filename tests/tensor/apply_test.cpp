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
#include <limits>
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
  // Numbers, and answers, which are of the lowest category.
  const Tensor u8 = of<std::uint8_t>({1, 2});
  const Tensor yes = i32 > 0;
  CHECK((u8 + true).dtype() == DType::uint8);
  CHECK((yes + true).dtype() == DType::boolean);
  CHECK((yes + 1).dtype() == DType::int64);
  CHECK((yes + 1.5).dtype() == DType::float32);
  CHECK((u8 + -1).to_vector<std::uint8_t>() == std::vector<std::uint8_t>{0, 1});
  CHECK((u8 * 300).to_vector<std::uint8_t>() == std::vector<std::uint8_t>{44, 88});
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
  const std::string text = message_of([&] { return half + half; });
  CHECK(has(text, "cast(x, DType::float32)"));
  CHECK(has(text, "bfloat16[2], bfloat16[2]"));
  CHECK(has(text, "add"));
  CHECK(has(text, "apply_test.cpp"));
  CHECK(cast(half, DType::float32).to_vector<float>() == std::vector<float>{1, 2});
}

TEST_CASE("an undefined tensor is an error, not a crash", "[tensor]") {
  test::Engine engine;
  const Tensor nothing;
  CHECK(has(message_of([&] { return nothing + 1.0; }), "undefined"));
  CHECK(has(message_of([&] { return of<float>({1}) * nothing; }), "undefined"));
  CHECK(has(message_of([&] { return nothing.item(); }), "undefined"));
}

TEST_CASE("tensors of another system are refused", "[tensor]") {
  test::Engine first;
  const Tensor x = of<float>({1, 2});
  test::Engine second;
  const Tensor y = of<float>({1, 2});
  for (const std::string& text :
       {message_of([&] { return x + x; }),
        message_of([&] { return y + x; }),
        message_of([&] { return x + y; }),
        message_of([&] { return matmul(y, x); }),
        message_of([&] { return sum(x); }),
        message_of([&] {
          return concat({y, x});
        })}) {
    CHECK(has(text, "device_mismatch"));
    CHECK(has(text, "another system"));
    CHECK(has(text, "float32[2]"));
    CHECK(has(text, "apply_test.cpp"));
    CHECK(has(text, "hint"));
  }
  const OnDevice elsewhere(first.device);
  CHECK(has(message_of([] { return rand({2}); }), "another system"));
}

TEST_CASE("shapes that cannot be counted are refused before they are made", "[tensor]") {
  test::Engine engine;
  constexpr std::int64_t huge = std::int64_t{1} << 32;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const Tensor x = of<float>({1});
  const Tensor index = of<std::int64_t>({0});
  for (const std::string& text :
       {message_of([&] {
          return expand(x, {huge, huge});
        }),
        message_of([&] { return expand(x, {-5}); }),
        message_of([&] {
          return expand(x, {-2, 1});
        }),
        message_of([&] {
          return reshape(x, {huge, huge});
        }),
        message_of([&] {
          return reshape(x, {huge, huge, -1});
        }),
        message_of([&] {
          return reshape(x, {-2, -1});
        }),
        message_of([&] {
          return pad(x, {most, most});
        }),
        message_of([&] {
          return pad(x, {most - 1, 0});
        }),
        message_of([&] { return one_hot(index, most); }),
        message_of([&] {
          return rand({huge, huge});
        }),
        message_of([&] {
          return randn({2, -1});
        }),
        message_of([&] {
          return randint(0, 3, {huge, huge});
        }),
        message_of([&] {
          return expand(x, {huge}) + expand(x, {huge, 1});
        }),
        message_of([&] {
          return split(x, std::vector<std::int64_t>{most, most, 3})[0];
        }),
        message_of([&] {
          return max_pool2d(expand(x, {1, 4, 4}), {2}, {1}, {most});
        })}) {
    INFO(text);
    CHECK((has(text, "invalid_argument") || has(text, "shape_mismatch")));
    CHECK(has(text, "apply_test.cpp"));
    CHECK(has(text, "hint"));
  }
  // What fits goes through, at the very ends of the numbers too.
  CHECK(slice(x, 0, 0, most, most).to_vector<float>() == std::vector<float>{1});
  CHECK(split(x, most)[0].to_vector<float>() == std::vector<float>{1});
  CHECK(expand(x, {huge, 4}).elements() == 4 * huge);
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
