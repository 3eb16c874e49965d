#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/node.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

TEST_CASE("passes are numbered from one, each number once", "[tensor]") {
  test::Engine engine;
  troupe::Engine& shared = troupe::Engine::of(engine.system);
  CHECK(shared.next_pass() == 1);
  CHECK(shared.next_pass() == 2);
  CHECK(&troupe::Engine::of(engine.system) == &shared);
}

TEST_CASE("what was asked for and never ran is not counted for ever", "[tensor]") {
  test::Engine engine;
  troupe::Engine& shared = troupe::Engine::of(engine.system);
  {
    const Meta meta{DType::float32, {100}};
    const Awaiting never = make_awaiting(engine.device, meta, nullptr, 0, Where::here());
    const Tensor y = never.tensor + 1.0f;
    CHECK(shared.pending_bytes() == 2 * 400);
  }
  CHECK(shared.pending_bytes() == 0);
}
