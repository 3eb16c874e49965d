#include "support/engine.hpp"

#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

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
