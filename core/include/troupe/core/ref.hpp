#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace troupe {

/// A counted pointer to an object that counts its own references (`add_ref()`, `release()`).
///
/// One word, no control block: what every address, value and record is held by.
template <class T>
class Ref {
 public:
  Ref() noexcept = default;
  Ref(std::nullptr_t) noexcept {}  // NOLINT: meant implicit
  /// Takes over a reference that the caller already owns.
  static Ref adopt(T* object) noexcept {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  /// Adds a reference of its own.
  static Ref share(T* object) noexcept {
    if (object) object->add_ref();
    return adopt(object);
  }

  Ref(const Ref& other) noexcept : object_(other.object_) {
    if (object_) object_->add_ref();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  /// From a reference to a derived object.
  template <class Derived>
  requires(!std::is_same_v<Derived, T> && std::is_convertible_v<Derived*, T*>)
      Ref(Ref<Derived> other)
  noexcept : object_(other.detach()) {}  // NOLINT: meant implicit
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->release();
  }

  [[nodiscard]] T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  /// Gives the reference to the caller, who must release it.
  [[nodiscard]] T* detach() noexcept { return std::exchange(object_, nullptr); }
  void reset() noexcept { *this = Ref(); }

  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

/// Takes one off a count; whether it was the last. Who holds the only reference needs no locked
/// instruction to know that nobody else can add one.
template <class Count>
[[nodiscard]] bool last_reference(std::atomic<Count>& references) noexcept {
  return references.load(std::memory_order_acquire) == 1 ||
         references.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

}  // namespace troupe
