#pragma once

#include <troupe/core/system.hpp>
#include <troupe/tensor/value.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace troupe {

/// Memory that the steps of a device's programs take turns in: a program that trains and one that
/// tests do not run at once.
///
/// Threads  any.
class Arenas {
 public:
  /// Those of a device, which go with the last program that holds them.
  [[nodiscard]] static std::shared_ptr<Arenas> of(Device& device);

  explicit Arenas(Device& device) noexcept : device_(device) {}

  /// At least so many bytes that nobody else uses. Throws `out_of_memory`.
  [[nodiscard]] Ref<Buffer> take(std::size_t bytes);
  void give_back(Ref<Buffer> arena) noexcept;

 private:
  Device& device_;
  std::mutex mutex_;
  std::vector<Ref<Buffer>> free_;
};

}  // namespace troupe
