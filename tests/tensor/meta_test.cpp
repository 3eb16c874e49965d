#include <troupe/core/error.hpp>
#include <troupe/tensor/meta.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

TEST_CASE("a meta prints dtype and shape", "[tensor]") {
  CHECK(to_string(Meta{DType::bfloat16, {64, 784}}) == "bfloat16[64, 784]");
  CHECK((Meta{DType::float64, {3, 2}}.bytes()) == 48);
}

TEST_CASE("promotion is symmetric and follows PyTorch", "[tensor]") {
  for (std::size_t a = 0; a < dtype_count; ++a)
    for (std::size_t b = 0; b < dtype_count; ++b)
      CHECK(promote(DType(a), DType(b)) == promote(DType(b), DType(a)));
  CHECK(promote(DType::int64, DType::float16) == DType::float16);
  CHECK(promote(DType::float16, DType::bfloat16) == DType::float32);
  CHECK(promote(DType::uint8, DType::boolean) == DType::uint8);
}

TEST_CASE("sizes that cannot be counted are refused", "[tensor]") {
  constexpr std::int64_t huge = std::int64_t{1} << 31;
  check_sizes({DType::float32, {huge, huge / 4}});  // 2^62 bytes
  check_sizes({DType::float32, {}});
  check_sizes({DType::float32, {0, huge}});
  CHECK_THROWS_AS(check_sizes({DType::float32, {huge, huge / 2}}), Error);
  CHECK_THROWS_AS(check_sizes({DType::float64, {huge, huge / 2}}), Error);
  CHECK_THROWS_AS(check_sizes({DType::float32, {0, huge, huge, huge}}), Error);
  CHECK_THROWS_AS(check_sizes({DType::uint8, {3, -1}}), Error);
}
