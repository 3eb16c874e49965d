#include <troupe/tensor/number.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <limits>

using namespace troupe;

TEST_CASE("whole numbers keep all their bits", "[tensor]") {
  constexpr std::int64_t odd = (std::int64_t{1} << 53) + 1;  // the first that no double holds
  CHECK(Number(odd).to<std::int64_t>() == odd);
  CHECK(
      Number(std::numeric_limits<std::int64_t>::min()).to<std::int64_t>() ==
      std::numeric_limits<std::int64_t>::min());
  CHECK(Number(odd).kind() == Number::Kind::whole);
  CHECK(Number(true).kind() == Number::Kind::boolean);
  CHECK(Number(1.0f).kind() == Number::Kind::fraction);
  CHECK(Number(std::numeric_limits<std::uint64_t>::max()).is_fraction());
  CHECK(Number(std::uint64_t{7}).to<int>() == 7);
}

TEST_CASE("numbers wrap or end where a type does", "[tensor]") {
  CHECK(Number(-1).to<std::uint8_t>() == 255);
  CHECK(Number(300).to<std::uint8_t>() == 44);
  CHECK(Number(-1.5).to<std::uint8_t>() == 0);
  CHECK(Number(1e300).to<std::int32_t>() == std::numeric_limits<std::int32_t>::max());
  CHECK(Number(-1e300).to<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
  CHECK(Number(0x1p63).to<std::int64_t>() == std::numeric_limits<std::int64_t>::max());
  CHECK(Number(std::numeric_limits<double>::quiet_NaN()).to<std::int64_t>() == 0);
  CHECK(Number(-2.75).to<std::int64_t>() == -2);
  CHECK(Number(0.25).to<bool>());
  CHECK_FALSE(Number(0).to<bool>());
}
