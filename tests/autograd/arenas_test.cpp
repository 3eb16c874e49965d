#include "arenas.hpp"

#include "support/engine.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

TEST_CASE("an arena serves one at a time, and a larger one takes its place", "[autograd]") {
  test::Engine engine;
  const std::shared_ptr<Arenas> arenas = Arenas::of(engine.device);
  CHECK(Arenas::of(engine.device) == arenas);
  Ref<Buffer> first = arenas->take(10'000);
  const Ref<Buffer> second = arenas->take(10'000);
  CHECK(first.get() != second.get());
  const Buffer* const known = first.get();
  arenas->give_back(std::move(first));
  Ref<Buffer> again = arenas->take(5'000);
  CHECK(again.get() == known);
  arenas->give_back(std::move(again));
  const Ref<Buffer> larger = arenas->take(20'000);
  CHECK(larger->bytes() >= 20'000);
  // The one that was too small has gone: another is made.
  CHECK(arenas->take(5'000)->bytes() < 10'000);
}
