#include "combine.hpp"

#include "reference.hpp"

#include <catch2/catch_test_macros.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace troupe::testing {

using cluster::combine;
using cluster::Reduction;

namespace {

/// combine() of single elements.
template <class T>
T one(Reduction reduction, T left, T right) {
  T out;
  combine(
      dtype_of<T>,
      reduction,
      reinterpret_cast<std::byte*>(&out),
      reinterpret_cast<const std::byte*>(&left),
      reinterpret_cast<const std::byte*>(&right),
      sizeof out);
  return out;
}
std::uint16_t bfloat16(Reduction reduction, std::uint16_t left, std::uint16_t right) {
  return one(reduction, BFloat16{left}, BFloat16{right}).bits;
}

}  // namespace

TEST_CASE("values meet element by element, at any address, in place or not", "[cluster]") {
  for (const DType dtype :
       {DType::float32, DType::float64, DType::bfloat16, DType::int32, DType::int64})
    for (const Reduction reduction : {Reduction::sum, Reduction::max, Reduction::min})
      for (const std::size_t elements : {0, 1, 7, 64, 1001}) {
        CAPTURE(name_of(dtype), name_of(reduction), elements);
        const std::vector<Bytes> sides = {
            some_values(dtype, elements, 3, 0), some_values(dtype, elements, 3, 1)};
        const auto expected = serial_tree(dtype, reduction, sides, 0, 2);
        const std::size_t bytes = expected.size();
        for (const std::size_t shift : {0, 1, 3}) {
          std::vector<std::byte> room[3];
          for (auto& r : room) r.resize(bytes + 8, std::byte{0xa5});
          std::byte* const left = room[0].data() + shift;
          std::byte* const right = room[1].data() + shift / 2;
          std::byte* const out = room[2].data() + shift;
          const auto fill = [&] {
            std::copy(sides[0].span().begin(), sides[0].span().end(), left);
            std::copy(sides[1].span().begin(), sides[1].span().end(), right);
          };
          for (std::byte* const to : {out, left, right}) {
            fill();
            combine(dtype, reduction, to, left, right, bytes);
            CHECK(equal({to, bytes}, expected));
            CHECK(to[bytes] == std::byte{0xa5});
          }
        }
      }
}

TEST_CASE("a NaN wins, and integers wrap around", "[cluster]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Reduction reduction : {Reduction::sum, Reduction::max, Reduction::min}) {
    CHECK(std::isnan(one(reduction, nan, 1.0F)));
    CHECK(std::isnan(one(reduction, 1.0F, nan)));
    CHECK(std::isnan(one(reduction, double{nan}, 1.0)));
    CHECK(std::isnan(one(reduction, 1.0, double{nan})));
    CHECK((bfloat16(reduction, 0x7fc1, 0x3f80) & 0x7fff) > 0x7f80);
    CHECK((bfloat16(reduction, 0x3f80, 0x7f81) & 0x7fff) > 0x7f80);
  }
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  CHECK(one(Reduction::sum, most, std::int64_t{1}) == std::numeric_limits<std::int64_t>::min());
  CHECK(one(Reduction::max, most, std::int64_t{-1}) == most);
  CHECK(
      one(Reduction::sum, std::int32_t{-2'000'000'000}, std::int32_t{-2'000'000'000}) ==
      294'967'296);
}

TEST_CASE("sums of bfloat16 round to the nearest, to even between two", "[cluster]") {
  CHECK(bfloat16(Reduction::sum, 0x3f80, 0x3f80) == 0x4000);  // 1 + 1
  CHECK(bfloat16(Reduction::sum, 0x4380, 0x3f80) == 0x4380);  // 256 + 1: between 256 and 258
  CHECK(bfloat16(Reduction::sum, 0x4381, 0x3f80) == 0x4382);  // 258 + 1: between 258 and 260
  CHECK(bfloat16(Reduction::sum, 0x7f7f, 0x7f7f) == 0x7f80);  // the largest twice: infinity
}

}  // namespace troupe::testing
