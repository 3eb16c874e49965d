#pragma once

#include <troupe/tensor/dtype.hpp>
#include <troupe/tensor/shape.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::io {

/// A named tensor in host memory, on its way to a file or from one: row-major, no gaps, in the
/// machine's byte order. The bytes are shared and never change.
class HostTensor {
 public:
  /// Takes the bytes over; throws `invalid_argument` when they are not as many as shape and dtype
  /// need.
  HostTensor(std::string name, DType dtype, const Shape& shape, std::vector<std::byte> bytes);
  /// Shares bytes that `owner` keeps alive; copies nothing.
  HostTensor(
      std::string name,
      DType dtype,
      const Shape& shape,
      std::span<const std::byte> bytes,
      const std::shared_ptr<const void>& owner);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_.get(), size_}; }
  /// What keeps the bytes alive, for those that borrow them longer than this object lives.
  [[nodiscard]] std::shared_ptr<const void> owner() const noexcept { return data_; }

 private:
  void check() const;

  std::string name_;
  DType dtype_;
  Shape shape_;
  std::shared_ptr<const std::byte> data_;
  std::size_t size_;
};

/// The bytes that a tensor of this shape and dtype has; false when a size is negative or the
/// product overflows.
[[nodiscard]] bool bytes_needed(const Shape& shape, DType dtype, std::uint64_t& bytes) noexcept;

}  // namespace troupe::io
