#pragma once

#include <troupe/core/completion.hpp>
#include <troupe/core/error.hpp>
#include <troupe/core/ref.hpp>
#include <troupe/tensor/shared_meta.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace troupe {

class Device;
class System;

/// Memory of one device, counted. Written by the launch that it was allocated for; never again
/// while more than one value may see it.
class Buffer {
 public:
  /// @param writable  false for memory that is the caller's: read in place, never written.
  Buffer(Device& device, std::size_t bytes, bool writable = true) noexcept
      : writable_(writable), device_(&device), bytes_(bytes) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (last_reference(refs_)) destroy();
  }
  [[nodiscard]] bool unique() const noexcept { return refs_.load(std::memory_order_acquire) == 1; }

  [[nodiscard]] Device& device() const noexcept { return *device_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Whether an op may take the memory over for its output, once nobody else sees it.
  [[nodiscard]] bool writable() const noexcept { return writable_; }

 protected:
  virtual ~Buffer() = default;
  virtual void destroy() noexcept = 0;  ///< gives the memory back to its device

 private:
  std::atomic<std::uint32_t> refs_{1};
  bool writable_;
  Device* device_;
  std::size_t bytes_;
};

class ValueBody;
/// Data that its receiver may use: complete, or submitted to the same device's queue. One counted
/// pointer; null stands for "no value", as the gradient of what a result does not depend on.
using Value = Ref<ValueBody>;

/// What a `Value` points to: a buffer seen through shape, strides and offset; or the error that
/// came in its place. Immutable.
class ValueBody {
 public:
  [[nodiscard]] static Value make(Ref<SharedMeta> meta, Ref<Buffer> buffer);
  [[nodiscard]] static Value make(const Meta& meta, Ref<Buffer> buffer);
  /// A strided view of another value's buffer; `offset` and `strides` in elements of `meta.dtype`.
  [[nodiscard]] static Value view(
      const Value& of, const Meta& meta, const Dims& strides, std::int64_t offset);
  /// An error in a value's place. `order` says when it arose, among all that went wrong in a step;
  /// where several meet, the one of the lowest order goes on, whichever came first in time.
  [[nodiscard]] static Value failed(System& system, Error error, std::uint64_t order = 0);
  /// Dtype and shape only; what is kept of an input whose data nobody needs any more.
  [[nodiscard]] static Value meta_only(Ref<SharedMeta> meta);

  void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (last_reference(refs_)) destroy();
  }
  [[nodiscard]] bool held_by(std::uint32_t count) const noexcept {
    return refs_.load(std::memory_order_acquire) == count;
  }
  [[nodiscard]] bool unique() const noexcept { return held_by(1); }

  [[nodiscard]] const Meta& meta() const noexcept { return meta_->meta(); }
  [[nodiscard]] const Ref<SharedMeta>& shared_meta() const noexcept { return meta_; }
  [[nodiscard]] DType dtype() const noexcept { return meta().dtype; }
  [[nodiscard]] const Shape& shape() const noexcept { return meta().shape; }
  /// In elements; meaningful also when `contiguous()`.
  [[nodiscard]] const Dims& strides() const noexcept { return strides_; }
  [[nodiscard]] std::int64_t offset() const noexcept { return offset_; }  ///< in elements
  [[nodiscard]] bool contiguous() const noexcept { return contiguous_; }
  [[nodiscard]] const Ref<Buffer>& buffer() const noexcept { return buffer_; }
  [[nodiscard]] Device& device() const noexcept { return meta_->device(); }
  /// Why there are no data; null when there are.
  [[nodiscard]] const Error* error() const noexcept { return error_; }
  /// Of an error only.
  [[nodiscard]] std::uint64_t failure_order() const noexcept {
    return static_cast<std::uint64_t>(offset_);
  }

 private:
  explicit ValueBody(Ref<SharedMeta> meta) noexcept : meta_(std::move(meta)) {}
  ~ValueBody();
  void destroy() noexcept;

  std::atomic<std::uint32_t> refs_{1};
  bool contiguous_ = true;
  Ref<SharedMeta> meta_;
  Ref<Buffer> buffer_;
  std::int64_t offset_ = 0;
  Error* error_ = nullptr;  // owned
  Dims strides_;
};

}  // namespace troupe
