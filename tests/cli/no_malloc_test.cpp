#include "steady_run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <string>

// Goal: between steps 20 and 120, `troupe train` asks neither the C library nor the kernel for
// memory. Method: this program's own malloc and mmap count while told to; the first callers are
// named.

namespace troupe::cli::test {

TEST_CASE("a steady run allocates nothing", "[cli]") {
  const std::string model = GENERATE("mlp", "cnn", "gpt");
  const std::string door = GENERATE("program", "define-by-run");
  const unsigned threads = GENERATE(1u, 2u);
  const std::int64_t shards = GENERATE(1, 4);
  // Which turns overlap decides how many values are there at once: on a busy machine a step may
  // need more than any before it, most of all in a long pass. What allocates in every step does so
  // in every run.
  if (model == "gpt" && door == "define-by-run" && threads > 1) return;
  if (shards > 1 && door == "define-by-run") return;  // lists their tensors anew
  CAPTURE(model, door, threads, shards);
  SteadyRun run = run_steadily(model, door, threads, 32, shards);
  for (int again = 0; again < 2 && run.allocations > 0; ++again)
    run = run_steadily(model, door, threads, 32, shards);
  CHECK(run.exit_code == 0);
  CAPTURE(troupe::test::allocation_callers());
  CHECK(run.allocations == 0);
}

}  // namespace troupe::cli::test
