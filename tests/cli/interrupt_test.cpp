#include "interrupt.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>

namespace troupe::cli {

// What is said, and the second Ctrl-C, which ends the process, are tested on the program, in
// train_test.cpp.
TEST_CASE("the first Ctrl-C is noted and nothing more", "[cli]") {
  {
    const Interrupt interrupt(true, "first", "second");
    CHECK_FALSE(Interrupt::requested());
    std::raise(SIGINT);
    CHECK(Interrupt::requested());
  }
  const Interrupt anew(true, "first", "second");
  CHECK_FALSE(Interrupt::requested());
}

}  // namespace troupe::cli
