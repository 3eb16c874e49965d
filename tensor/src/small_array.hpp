#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace troupe {

/// `count` default-made elements: on the stack up to `Few`, which nearly every op's operands are.
/// Only those asked for are made, so that room for more costs nothing.
template <class T, std::size_t Few = 8>
class SmallArray {
 public:
  explicit SmallArray(std::size_t count) : count_(count) {
    if (count > Few) many_ = static_cast<T*>(::operator new(count * sizeof(T)));
    // Classes begin as they say; to clear them before, a shape's unused places too, takes as long
    // as to fill them.
    if constexpr (std::is_class_v<T>)
      std::uninitialized_default_construct_n(data(), count);
    else
      std::uninitialized_value_construct_n(data(), count);
  }
  ~SmallArray() {
    std::destroy_n(data(), count_);
    if (count_ > Few) ::operator delete(many_);
  }
  SmallArray(const SmallArray&) = delete;
  SmallArray& operator=(const SmallArray&) = delete;

  [[nodiscard]] T* data() noexcept {
    return count_ > Few ? many_ : std::launder(reinterpret_cast<T*>(few_));
  }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  [[nodiscard]] std::span<T> span() noexcept { return {data(), count_}; }

 private:
  std::size_t count_;
  union {
    T* many_;
    alignas(T) std::byte few_[Few * sizeof(T)];
  };
};

}  // namespace troupe
