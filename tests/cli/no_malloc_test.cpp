#include "small_data.hpp"
#include "train.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

// Goal: between steps 20 and 120, `troupe train` asks neither the C library nor the kernel for
// memory, loader, progress line and all. Method: this program's own malloc and mmap stand before
// the C library's, as the linker has it, and count while told to. The first callers are named, as
// places in this program for addr2line.

namespace {

std::atomic<bool> counting{false};
std::atomic<int> calls{0};
constexpr int kept_max = 8;
constexpr int depth_max = 16;
void* kept[kept_max][depth_max];
int kept_depth[kept_max];
thread_local bool inside = false;  // backtrace() allocates when first called

void count() noexcept {
  if (!counting.load(std::memory_order_relaxed) || inside) return;
  inside = true;
  const int number = calls.fetch_add(1);
  if (number < kept_max) kept_depth[number] = ::backtrace(kept[number], depth_max);
  inside = false;
}

std::string callers() {
  std::string text;
  for (int i = 0; i < kept_max && i < calls; ++i) {
    text += "\n";
    for (int j = 2; j < kept_depth[i]; ++j) {
      Dl_info info{};
      ::dladdr(kept[i][j], &info);
      char place[64];
      std::snprintf(
          place,
          sizeof place,
          " %#zx",
          reinterpret_cast<std::uintptr_t>(kept[i][j]) -
              reinterpret_cast<std::uintptr_t>(info.dli_fbase));
      text += place;
    }
  }
  return text;
}

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

__attribute__((visibility("default"))) void* malloc(std::size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
__attribute__((visibility("default"))) void* calloc(std::size_t n, std::size_t bytes) {
  count();
  return __libc_calloc(n, bytes);
}
__attribute__((visibility("default"))) void* realloc(void* block, std::size_t bytes) {
  count();
  return __libc_realloc(block, bytes);
}
__attribute__((visibility("default"))) void* aligned_alloc(
    std::size_t alignment, std::size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
__attribute__((visibility("default"))) void* memalign(std::size_t alignment, std::size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
__attribute__((visibility("default"))) int posix_memalign(
    void** block, std::size_t alignment, std::size_t bytes) {
  count();
  *block = __libc_memalign(alignment, bytes);
  return *block ? 0 : ENOMEM;
}
__attribute__((visibility("default"))) void* mmap(
    void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  count();
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}
}

namespace troupe::cli::test {

/// Counts from the end of step 20 to the end of step 120.
class CountSteps final : public nn::Callback {
 public:
  void on_batch_end(nn::Trainer&, const nn::Progress& progress) override {
    if (progress.testing) return;
    if (progress.step == 20) counting = true;
    if (progress.step == 120) counting = false;
  }
};

TEST_CASE("a steady run allocates nothing", "[cli]") {
  const Folder folder("no-malloc");
  write_idx_folder(folder / "data", 130 * 32, 32, 28);
  const std::string model = GENERATE("mlp", "cnn");
  const std::string door = GENERATE("program", "define-by-run");
  const unsigned threads = GENERATE(1u, 2u);
  CAPTURE(model, door, threads);

  TrainOptions options;
  options.config.data = "idx:" + (folder / "data");
  options.config.model = model;
  options.config.epochs = 1;
  options.config.batch_size = 32;
  options.door = door;
  options.machine.threads = threads;
  options.out = folder / "run";
  // A terminal that nobody looks at, so that the line is drawn as well.
  const int nowhere = ::open("/dev/null", O_WRONLY);
  const auto sink = [nowhere](std::string_view text) {
    [[maybe_unused]] const ssize_t written = ::write(nowhere, text.data(), text.size());
  };
  Console console(sink, sink, {.terminal = true});
  void* first[1];
  (void)::backtrace(first, 1);

  calls = 0;
  const int code = train(options, console, std::make_shared<CountSteps>());
  ::close(nowhere);
  CHECK(code == 0);
  CHECK_FALSE(counting);
  CAPTURE(callers());
  CHECK(calls == 0);
}

}  // namespace troupe::cli::test
