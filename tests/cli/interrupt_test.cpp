#include "interrupt.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>

namespace troupe::cli {

// The second Ctrl-C ends the process, so it is tested on the program, in train_test.cpp.
TEST_CASE("the first Ctrl-C is noted and nothing more", "[cli]") {
  {
    const Interrupt interrupt;
    CHECK_FALSE(Interrupt::requested());
    std::raise(SIGINT);
    CHECK(Interrupt::requested());
  }
  const Interrupt anew;
  CHECK_FALSE(Interrupt::requested());
}

}  // namespace troupe::cli
