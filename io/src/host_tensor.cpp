#include <troupe/core/error.hpp>
#include <troupe/io/host_tensor.hpp>

#include <utility>

namespace troupe::io {

HostTensor::HostTensor(
    std::string name, DType dtype, const Shape& shape, std::vector<std::byte> bytes)
    : name_(std::move(name)), dtype_(dtype), shape_(shape), size_(bytes.size()) {
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  data_ = std::shared_ptr<const std::byte>(owner, owner->data());
  check();
}

HostTensor::HostTensor(
    std::string name,
    DType dtype,
    const Shape& shape,
    std::span<const std::byte> bytes,
    const std::shared_ptr<const void>& owner)
    : name_(std::move(name)),
      dtype_(dtype),
      shape_(shape),
      data_(owner, bytes.data()),
      size_(bytes.size()) {
  check();
}

void HostTensor::check() const {
  std::uint64_t needed = 0;
  if (!bytes_needed(shape_, dtype_, needed) || needed != size_) {
    throw Error(
        ErrorCode::invalid_argument,
        "'" + name_ + "': " + std::to_string(size_) + " bytes for " + std::string(name_of(dtype_)) +
            " " + to_string(shape_));
  }
}

bool bytes_needed(const Shape& shape, DType dtype, std::uint64_t& bytes) noexcept {
  bytes = size_of(dtype);
  bool overflows = false;
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) return false;
    empty = empty || size == 0;
    overflows =
        __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes) || overflows;
  }
  // A zero anywhere makes the tensor empty, but an overflow before it is still nonsense.
  if (empty) bytes = 0;
  return !overflows && bytes <= static_cast<std::uint64_t>(PTRDIFF_MAX);
}

}  // namespace troupe::io
