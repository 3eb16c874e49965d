#include "profile.hpp"

#include "small_profile.hpp"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using Catch::Approx;

namespace troupe::cli::test {

TEST_CASE("a profile's rows hold ops against the nearer limit", "[cli]") {
  const std::vector<ProfileRow> rows = rows_by_op(small_profile(), small_limits());
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].computing);  // 1 ms of computing, 20 µs of moving
  CHECK(rows[0].rate == Approx(50e9));
  CHECK(rows[0].of_limit() == Approx(0.5));
  CHECK(rows[0].share == Approx(0.2));
  CHECK(rows[1].name == "sum (backward)");
  CHECK_FALSE(rows[1].computing);  // 10 µs of computing, 2 ms of RAM
  CHECK(rows[1].rate == Approx(5e9));
  CHECK(rows[1].of_limit() == Approx(0.5));
  CHECK(rows[3].rate == 0);
  CHECK(rows[3].of_limit() == 0);
  CHECK(rate_text(rows[0]) == "50.0 GFLOP/s");
  CHECK(rate_text(rows[1]) == "5.0 GB/s");
  CHECK(rate_text(rows[3]).empty());
}

TEST_CASE("ops of a name are one row, the longest first", "[cli]") {
  const std::vector<ProfileRow> rows = rows_by_name(small_profile(), small_limits());
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].name == "linear + relu");
  CHECK(rows[0].calls == 2);
  CHECK(rows[0].seconds == Approx(6e-3));
  CHECK(rows[0].rate == Approx(50e9));
  CHECK(rows[0].least_seconds == Approx(3e-3));
  CHECK(rows[1].calls == 1);
  CHECK(rows[2].name == "reshape");
}

TEST_CASE("other dtypes are held to limits of their own", "[cli]") {
  ProgramProfile profile = small_profile();
  cpu::Limits limits = small_limits();
  profile.ops[0].dtype = DType::float64;
  profile.ops[2].dtype = DType::bfloat16;
  CHECK(rows_by_op(profile, limits)[0].of_limit() == Approx(1));
  CHECK(rows_by_op(profile, limits)[2].of_limit() == Approx(0.5));
  limits.bfloat16 = cpu::Rate{200e9, 200e9};
  CHECK(rows_by_op(profile, limits)[2].of_limit() == Approx(0.25));
}

TEST_CASE("a profile's table has aligned columns", "[cli]") {
  ProgramProfile profile = small_profile();
  profile.ops[1].name = "a name of very many ops that is longer than its column";
  const std::string text = profile_text(profile, small_limits());
  CHECK(text.starts_with(
      "a step's time by op: 10.000 ms in 4 ops, 11.000 ms in all; 20 steps measured\n"));
  CHECK(
      text.find("\nlinear + relu                                     2     6.000   60.0 %    50.0 "
                "GFLOP/s      50 %\n") != std::string::npos);
  CHECK(text.find("…") != std::string::npos);
  CHECK(text.ends_with("\nlimits of 1 thread: float32 100.0 GFLOP/s; L2 50.0, RAM 10.0 GB/s\n"));
  // All lines of the table end in one column, but those of ops without a rate.
  const auto letters = [](const std::string& line) {
    std::size_t count = 0;
    for (const char c : line) count += (c & 0xc0) != 0x80;
    return count;
  };
  std::size_t at = text.find('\n') + 1;
  const std::size_t width = letters(text.substr(at, text.find('\n', at) - at));
  for (int row = 0; row < 3; ++row) {
    const std::size_t end = text.find('\n', at);
    CHECK(letters(text.substr(at, end - at)) == width);
    at = end + 1;
  }
}

}  // namespace troupe::cli::test
