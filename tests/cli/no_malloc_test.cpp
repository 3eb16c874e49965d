#include "steady_run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <string>

// Goal: once it is warm, a step of `troupe train` asks neither the C library nor the kernel for
// memory. Method: this program's own malloc and mmap count while told to; the last callers are
// named.

namespace troupe::cli::test {

TEST_CASE("a steady run allocates nothing", "[cli]") {
  const std::string model = GENERATE("mlp", "cnn", "gpt");
  const std::string door = GENERATE("program", "define-by-run");
  const unsigned threads = GENERATE(1u, 2u);
  const std::int64_t shards = GENERATE(1, 4);
  if (shards > 1 && door == "define-by-run") return;  // lists their tensors anew
  CAPTURE(model, door, threads, shards);
  const SteadyRun run = run_steadily(model, door, threads, 32, shards);
  CHECK(run.exit_code == Interrupt::exit_code);
  CAPTURE(troupe::test::allocation_callers());
  CHECK(run.allocations == 0);
}

}  // namespace troupe::cli::test
