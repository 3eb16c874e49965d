#include "hazards.hpp"

#include <catch2/catch_test_macros.hpp>

namespace troupe::vulkan {
namespace {

const Block one, other;

Bound reads(std::uint64_t begin, std::uint64_t end, const Block& block = one) {
  return {&block, begin, end, false};
}
Bound writes(std::uint64_t begin, std::uint64_t end, const Block& block = one) {
  return {&block, begin, end, true};
}
bool conflict(const Bound& before, const Bound& after) {
  Hazards hazards;
  hazards.add({&before, 1});
  return hazards.conflict({&after, 1});
}

}  // namespace

TEST_CASE("work waits where one of two writes what the other touches", "[vulkan]") {
  CHECK(conflict(writes(0, 256), reads(0, 256)));   // read after write
  CHECK(conflict(reads(0, 256), writes(0, 256)));   // write after read
  CHECK(conflict(writes(0, 256), writes(0, 256)));  // write after write
  CHECK_FALSE(conflict(reads(0, 256), reads(0, 256)));
}

TEST_CASE("ranges overlap by bytes, not by where they begin", "[vulkan]") {
  CHECK(conflict(writes(0, 256), reads(255, 512)));
  CHECK(conflict(writes(255, 512), reads(0, 256)));
  CHECK(conflict(writes(0, 1024), reads(256, 512)));
  CHECK(conflict(writes(256, 512), reads(0, 1024)));
  SECTION("those side by side do not") {
    CHECK_FALSE(conflict(writes(0, 256), writes(256, 512)));
    CHECK_FALSE(conflict(writes(256, 512), writes(0, 256)));
    CHECK_FALSE(conflict(writes(0, 256), writes(1024, 2048)));
  }
  SECTION("nor those in another block") {
    CHECK_FALSE(conflict(writes(0, 256, one), writes(0, 256, other)));
  }
}

TEST_CASE("every range is held against every one before it", "[vulkan]") {
  Hazards hazards;
  const Bound first[] = {reads(0, 10), writes(10, 20)};
  const Bound second[] = {reads(20, 30), writes(30, 40)};
  hazards.add(first);
  hazards.add(second);
  const Bound clear[] = {reads(0, 10), writes(40, 50)};
  const Bound third[] = {reads(0, 10), writes(25, 26)};
  CHECK_FALSE(hazards.conflict(clear));
  CHECK(hazards.conflict(third));
  CHECK_FALSE(hazards.conflict({}));
}

TEST_CASE("a barrier forgets what came before it", "[vulkan]") {
  Hazards hazards;
  const Bound written = writes(0, 256);
  hazards.add({&written, 1});
  hazards.clear();
  CHECK_FALSE(hazards.conflict({&written, 1}));
}

TEST_CASE("what is remembered is bounded", "[vulkan]") {
  Hazards hazards;
  std::uint64_t added = 0;
  for (; !hazards.full() && added < 10'000; ++added) {
    const Bound range = reads(added, added + 1);
    hazards.add({&range, 1});
  }
  CHECK(added > bindings_max);
  CHECK(added < 10'000);
  hazards.clear();
  CHECK_FALSE(hazards.full());
}

}  // namespace troupe::vulkan
