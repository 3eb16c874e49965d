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
