#pragma once

#include <atomic>

namespace troupe {

/// The real atomics. Algorithms without locks take them as a template parameter, so that the model
/// checker of the tests can put its own in their place and try every order the memory model allows.
struct StandardAtomics {
  template <class T>
  using Atomic = std::atomic<T>;
  /// A variable that needs no atomic: the algorithm sees to it that accesses never meet.
  template <class T>
  using Plain = T;
  /// A full fence, for one who has done a read-modify-write operation since the last write that the
  /// fence is for: on x86 that was a full fence already, and only the compiler is told.
  static void fence_after_rmw() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    std::atomic_signal_fence(std::memory_order_seq_cst);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }
};

}  // namespace troupe
