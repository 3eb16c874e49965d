#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>

using namespace troupe;

TEST_CASE("scopes nest and share the random state of the outermost", "[tensor]") {
  CHECK(Scope::current_or_null() == nullptr);
  {
    test::Engine engine;
    engine.scope.seed(5);
    {
      Scope inner(engine.system, engine.device);
      CHECK(&Scope::current() == &inner);
      CHECK(inner.random().seed == 5);
      ++inner.random().calls;
    }
    CHECK(&Scope::current() == &engine.scope);
    CHECK(engine.scope.random().calls == 1);
  }
  CHECK(Scope::current_or_null() == nullptr);
}

TEST_CASE("random calls of shards have the same numbers, and are apart", "[tensor]") {
  test::Engine engine;
  RandomState& random = engine.scope.random();
  random.calls = 7;
  {
    InShards calls;
    calls.enter(0);
    CHECK(random.call() == 7);  // as without shards
    random.calls += 2;
    calls.enter(3);
    CHECK(random.calls == 7);
    CHECK(random.call() == 7 + (std::uint64_t{3} << 48));
    random.calls += 5;
    calls.enter(RandomState::shards_max - 1);
    CHECK(random.call() == 7 + (std::uint64_t{0xffff} << 48));
    calls.leave();
    CHECK(random.shard == 0);
    CHECK(random.calls == 7);
  }
  CHECK(random.calls == 12);  // behind the shard that made most
  CHECK(random.shard == 0);
  try {
    InShards calls;
    calls.enter(1);
    ++random.calls;
    throw Error(ErrorCode::internal, "planted");
  } catch (const Error&) {
  }
  CHECK(random.shard == 0);
  CHECK(random.calls == 13);
}

TEST_CASE("two systems in one process do not meet", "[tensor]") {
  test::Engine first;
  {
    test::Engine second(2);
    CHECK(&Scope::current().system() == &second.system);
  }
  CHECK(&Scope::current().system() == &first.system);
}

TEST_CASE("guards change one thing and change it back", "[tensor]") {
  test::Engine engine;
  {
    const NoGrad no_grad;
    CHECK_FALSE(Scope::current().grad_enabled());
    {
      const EnableGrad enable;
      CHECK(Scope::current().grad_enabled());
    }
    CHECK_FALSE(Scope::current().grad_enabled());
  }
  CHECK(Scope::current().grad_enabled());
}

TEST_CASE("a scope inside of an Autocast is in it, a turn is not", "[tensor]") {
  test::Engine engine;
  CHECK(Scope::current().product_dtype() == DType::float32);
  {
    const Autocast autocast;
    const Scope inner(engine.system, engine.device);
    CHECK(Scope::current().product_dtype() == DType::bfloat16);
    Turn turn;
    {
      const InTurn in_turn(turn);
      CHECK(Scope::current().product_dtype() == DType::float32);
    }
    const Autocast none(DType::float32);
    CHECK(Scope::current().product_dtype() == DType::float32);
  }
  CHECK(Scope::current().product_dtype() == DType::float32);
}

TEST_CASE("Autocast refuses what needs scaled losses or is no float", "[tensor]") {
  test::Engine engine;
  for (const DType dtype : {DType::float16, DType::float64, DType::int32}) try {
      const Autocast autocast(dtype);
      FAIL("was taken");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::dtype_mismatch);
      CHECK(error.message().find(name_of(dtype)) != std::string::npos);
    }
  CHECK(Scope::current().product_dtype() == DType::float32);
}
