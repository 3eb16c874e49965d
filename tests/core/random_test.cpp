#include <troupe/core/random.hpp>

#include <catch2/catch_test_macros.hpp>

#include <set>

namespace troupe::testing {

TEST_CASE("a seed gives its sequence again, and another seed another", "[core]") {
  const auto a = make_seeded_random(1);
  const auto b = make_seeded_random(1);
  const auto c = make_seeded_random(2);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t drawn = a->next();
    CHECK(drawn == b->next());
    seen.insert(drawn);
    seen.insert(c->next());
  }
  CHECK(seen.size() == 200);
}

TEST_CASE("the real source does not repeat itself", "[core]") {
  const auto random = make_real_random();
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 100; ++i) seen.insert(random->next());
  CHECK(seen.size() == 100);
}

}  // namespace troupe::testing
