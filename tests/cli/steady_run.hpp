#pragma once

#include "allocation_counter.hpp"
#include "small_data.hpp"
#include "train.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>

namespace troupe::cli::test {

/// What `troupe train` asked of the C library's allocator and of mmap from the end of step 20 to
/// the end of step 120, loader, progress line and all.
struct SteadyRun {
  int exit_code = 0;
  int allocations = -1;  ///< -1: it never came to step 120
};

class CountSteps final : public nn::Callback {
 public:
  explicit CountSteps(SteadyRun& run) : run_(run) {}
  void on_batch_end(nn::Trainer&, const nn::Progress& progress) override {
    if (progress.testing) return;
    if (progress.step == 20) troupe::test::begin_counting_allocations();
    if (progress.step == 120) run_.allocations = troupe::test::end_counting_allocations();
  }

 private:
  SteadyRun& run_;
};

[[nodiscard]] inline SteadyRun run_steadily(
    const std::string& model,
    const std::string& door,
    unsigned threads,
    std::int64_t batch_size,
    std::int64_t shards = 1) {
  const Folder folder("steady");
  TrainOptions options;
  if (model == "gpt") {
    // Of small sizes: what is counted does not depend on them.
    options.config.context = 32;
    options.config.layers = 2;
    options.config.width = 64;
    options.config.heads = 2;
    write_file(folder / "text", small_text(static_cast<std::size_t>(150 * 32 * batch_size)));
    options.config.data = "text:" + (folder / "text");
  } else {
    write_idx_folder(folder / "data", 130 * static_cast<int>(batch_size), 32, 28);
    options.config.data = "idx:" + (folder / "data");
  }
  options.config.model = model;
  options.config.epochs = 1;
  options.config.batch_size = batch_size;
  options.config.shards = shards;
  options.door = door;
  options.machine.threads = threads;
  options.out = folder / "run";
  // A terminal that nobody looks at, so that the line is drawn as well.
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto sink = [nowhere](std::string_view text) {
    [[maybe_unused]] const ssize_t written = ::write(nowhere, text.data(), text.size());
  };
  Console console(sink, sink, {.terminal = true});
  SteadyRun run;
  run.exit_code = train(options, console, std::make_shared<CountSteps>(run));
  ::close(nowhere);
  return run;
}

}  // namespace troupe::cli::test
