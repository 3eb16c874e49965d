#include "support/engine.hpp"

#include <troupe/tensor/creation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace troupe;

namespace {

Error refused(const std::function<Tensor()>& call) {
  try {
    (void)call();
  } catch (const Error& error) {
    return error;
  }
  return {};
}

/// Checks code and op, and that line and hint are there.
void check_refusal(const std::function<Tensor()>& call, ErrorCode code, std::string_view op) {
  const Error error = refused(call);
  INFO(error.what());
  CHECK(error.code() == code);
  CHECK(error.op() == op);
  CHECK(error.file().find("creation_test.cpp") != std::string::npos);
  CHECK_FALSE(error.hint().empty());
}

constexpr std::int64_t huge = std::int64_t{1} << 32;

}  // namespace

TEST_CASE("full repeats a number in any dtype", "[tensor]") {
  test::Engine engine;
  CHECK(full({2, 2}, 1.5).to_vector<float>() == std::vector<float>(4, 1.5f));
  CHECK(full({3}, 2).dtype() == DType::float32);
  CHECK(full({3}, true, DType::boolean).to_vector<bool>() == std::vector<bool>(3, true));
  constexpr std::int64_t odd = (std::int64_t{1} << 53) + 1;
  CHECK(full({}, odd, DType::int64).item<std::int64_t>() == odd);
  CHECK(full({2}, -1, DType::uint8).to_vector<std::uint8_t>() == std::vector<std::uint8_t>(2, 255));
  CHECK(zeros({2, 0}).elements() == 0);
  CHECK(zeros({2}, DType::int32).to_vector<std::int32_t>() == std::vector<std::int32_t>(2));
  CHECK(ones({2}, DType::float64).to_vector<double>() == std::vector<double>(2, 1));
}

TEST_CASE("tensors like another have its shape and dtype", "[tensor]") {
  test::Engine engine;
  const Tensor like = zeros({2, 3}, DType::int64);
  for (const Tensor& x : {zeros_like(like), ones_like(like), full_like(like, 7)})
    CHECK(x.meta() == like.meta());
  CHECK(full_like(like, 7).to_vector<std::int64_t>() == std::vector<std::int64_t>(6, 7));
  CHECK(ones_like(like).to_vector<std::int64_t>() == std::vector<std::int64_t>(6, 1));
}

TEST_CASE("arange counts up and down to its end, which it leaves out", "[tensor]") {
  test::Engine engine;
  using Whole = std::vector<std::int64_t>;
  CHECK(arange(4).to_vector<std::int64_t>() == Whole{0, 1, 2, 3});
  CHECK(arange(2, 9, 3).to_vector<std::int64_t>() == Whole{2, 5, 8});
  CHECK(arange(2, 8, 3).to_vector<std::int64_t>() == Whole{2, 5});
  CHECK(arange(3, -4, -3).to_vector<std::int64_t>() == Whole{3, 0, -3});
  CHECK(arange(3, 3).elements() == 0);
  CHECK(arange(3, 0).elements() == 0);
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  CHECK(arange(most - 1, most, 5).to_vector<std::int64_t>() == Whole{most - 1});
  CHECK(arange(least, most, most).to_vector<std::int64_t>() == Whole{least, -1, most - 1});
  CHECK(arange(most, least, least).to_vector<std::int64_t>() == Whole{most, -1});
}

TEST_CASE("linspace ends exactly where it was told to", "[tensor]") {
  test::Engine engine;
  CHECK(linspace(0, 1, 5).to_vector<float>() == std::vector<float>{0, 0.25f, 0.5f, 0.75f, 1});
  CHECK(linspace(3, 9, 1).to_vector<float>() == std::vector<float>{3});
  CHECK(linspace(3, 9, 0).elements() == 0);
  const auto steps = linspace(0.1, 0.7, 7, DType::float64).to_vector<double>();
  CHECK(steps.front() == 0.1);
  CHECK(steps.back() == 0.7);
  for (std::size_t i = 0; i < 7; ++i)
    CHECK(std::abs(steps[i] - (0.1 + 0.1 * static_cast<double>(i))) < 1e-15);
}

TEST_CASE("eye has ones on its diagonal", "[tensor]") {
  test::Engine engine;
  CHECK(eye(2).to_vector<float>() == std::vector<float>{1, 0, 0, 1});
  CHECK(eye(2, 3).to_vector<float>() == std::vector<float>{1, 0, 0, 0, 1, 0});
  CHECK(eye(3, 1, DType::boolean).to_vector<bool>() == std::vector<bool>{true, false, false});
}

TEST_CASE("what cannot be made is refused by name", "[tensor]") {
  test::Engine engine;
  constexpr auto invalid = ErrorCode::invalid_argument;
  check_refusal([] { return full({2, -1}, 0); }, invalid, "full");
  check_refusal([] { return zeros({huge, huge}); }, invalid, "full");
  check_refusal([] { return zeros({huge, 0, huge, huge}); }, invalid, "full");
  check_refusal([] { return full({2}, 0, DType::float16); }, ErrorCode::dtype_mismatch, "full");
  check_refusal([] { return arange(0, 5, 0); }, invalid, "arange");
  check_refusal([] { return linspace(0, 1, -1); }, invalid, "linspace");
  check_refusal([] { return eye(-2); }, invalid, "eye");
  check_refusal([] { return eye(3, -2); }, invalid, "eye");
  check_refusal([] { return eye(huge, huge); }, invalid, "eye");
  check_refusal([] { return zeros_like(Tensor()); }, invalid, "full_like");
  // Countable, but more than any machine has.
// A sanitizer ends the program for so large a request.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  check_refusal([] { return zeros({huge, huge / 16}); }, ErrorCode::out_of_memory, "full");
#endif
}
