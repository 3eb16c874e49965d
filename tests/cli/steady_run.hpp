#pragma once

#include "allocation_counter.hpp"
#include "interrupt.hpp"
#include "small_data.hpp"
#include "train.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace troupe::cli::test {

/// What `troupe train` asked of the C library's allocator and of mmap in 100 steps, loader,
/// progress line and all: 0 when 100 steps in a row, of those from 20 to 400, asked for nothing;
/// else what the last step that asked did. Which turns overlap decides how many values are there at
/// once, so on a busy machine a step may need more memory than any before it, and it is kept from
/// then on; what allocates again and again never comes to 100.
struct SteadyRun {
  int exit_code = 0;     ///< or Interrupt's, when it was stopped because all was seen
  int allocations = -1;  ///< -1: it never came so far
};

class CountSteps final : public nn::Callback {
 public:
  explicit CountSteps(SteadyRun& run) : run_(run) {}
  void on_batch_end(nn::Trainer&, const nn::Progress& progress) override {
    if (progress.testing || done_) return;
    if (progress.step == 20) {
      troupe::test::begin_counting_allocations();
      quiet_since_ = progress.step;
    }
    if (progress.step <= 20) return;
    const int counted = troupe::test::allocations_counted();
    if (counted > before_) {
      last_ = counted - before_;
      before_ = counted;
      quiet_since_ = progress.step;
    }
    const bool steady = progress.step == quiet_since_ + 100;
    done_ = steady || progress.step == 400;
    if (!done_) return;
    troupe::test::end_counting_allocations();
    run_.allocations = steady ? 0 : last_;
    std::raise(SIGINT);  // stops it, as a person would
  }

 private:
  SteadyRun& run_;
  int before_ = 0;                ///< counted by the end of the step before
  int last_ = 0;                  ///< of the last step that asked for anything
  std::int64_t quiet_since_ = 0;  ///< that step, or step 20
  bool done_ = false;
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
    write_file(folder / "text", small_text(static_cast<std::size_t>(470 * 32 * batch_size)));
    options.config.data = "text:" + (folder / "text");
  } else {
    write_idx_folder(folder / "data", 410 * static_cast<int>(batch_size), 32, 28);
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
