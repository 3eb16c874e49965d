// How often a steady `troupe train` asks the C library or the kernel for memory: a count, not a
// time.

#include "steady_run.hpp"

#include <benchmark/benchmark.h>

#include <string>

namespace {

using namespace troupe;

const bool registered = [] {
  for (const char* model : {"cnn", "mlp", "gpt"})
    for (const char* door : {"program", "define-by-run"}) {
      const std::string name = "steady/" + std::string(model) + "/" + door + "/t2";
      benchmark::RegisterBenchmark(
          name.c_str(),
          [=](benchmark::State& state) {
            cli::test::SteadyRun run;
            for (auto _ : state) run = cli::test::run_steadily(model, door, 2, 32);
            if (run.exit_code != cli::Interrupt::exit_code) state.SkipWithError("the run failed");
            state.counters["allocations"] = run.allocations;
          })
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    }
  return true;
}();

}  // namespace
