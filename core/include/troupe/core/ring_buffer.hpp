#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace troupe {

/// A queue in one thread that allocates only when it grows past its largest length so far.
template <class T>
class RingBuffer {
 public:
  RingBuffer() = default;
  RingBuffer(RingBuffer&& other) noexcept
      : slots_(std::exchange(other.slots_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)),
        first_(std::exchange(other.first_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  RingBuffer& operator=(RingBuffer&& other) noexcept {
    std::swap(slots_, other.slots_);
    std::swap(capacity_, other.capacity_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~RingBuffer() {
    while (!empty()) pop_front();
    std::allocator<T>().deallocate(slots_, capacity_);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] T& front() noexcept { return slots_[first_]; }
  [[nodiscard]] const T& front() const noexcept { return slots_[first_]; }

  void push_back(T value) {
    if (size_ == capacity_) grow();
    new (slots_ + (first_ + size_) % capacity_) T(std::move(value));
    ++size_;
  }
  void pop_front() noexcept {
    slots_[first_].~T();
    first_ = (first_ + 1) % capacity_;
    --size_;
  }
  [[nodiscard]] T take_front() {
    T value = std::move(front());
    pop_front();
    return value;
  }

 private:
  void grow() {
    const std::size_t capacity = capacity_ == 0 ? 4 : 2 * capacity_;
    T* slots = std::allocator<T>().allocate(capacity);
    const std::size_t size = size_;
    for (std::size_t i = 0; i < size; ++i) {
      new (slots + i) T(std::move(front()));
      pop_front();
    }
    std::allocator<T>().deallocate(slots_, capacity_);
    slots_ = slots;
    capacity_ = capacity;
    first_ = 0;
    size_ = size;
  }

  T* slots_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace troupe
