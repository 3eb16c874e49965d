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
};

}  // namespace troupe
