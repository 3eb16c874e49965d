#include "allocation_counter.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace {

std::atomic<bool> counting{false};
std::atomic<int> calls{0};
constexpr int kept_max = 8;
constexpr int depth_max = 16;
void* kept[kept_max][depth_max];
int kept_depth[kept_max];
thread_local bool inside = false;

void count() noexcept {
  if (!counting.load(std::memory_order_relaxed) || inside) return;
  inside = true;
  const int place = calls.fetch_add(1) % kept_max;
  kept_depth[place] = ::backtrace(kept[place], depth_max);
  inside = false;
}

}  // namespace

namespace troupe::test {

void begin_counting_allocations() noexcept {
  // Asked once before, for it allocates when first called.
  void* first[1];
  (void)::backtrace(first, 1);
  for (int& depth : kept_depth) depth = 0;
  calls = 0;
  counting = true;
}

void end_counting_allocations() noexcept { counting = false; }

int allocations_counted() noexcept { return calls; }

std::string allocation_callers() {
  std::string text;
  for (int i = 0; i < kept_max && kept_depth[i] > 0; ++i) {
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

}  // namespace troupe::test

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
