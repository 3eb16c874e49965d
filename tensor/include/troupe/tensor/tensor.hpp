#pragma once

#include <troupe/core/address.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/value.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace troupe {

class Record;
class Tensor;

/// A line of the caller's source, for errors and traces.
struct Where {
  const char* file = "";
  std::uint32_t line = 0;

  [[nodiscard]] static constexpr Where here(
      const char* file = __builtin_FILE(), std::uint32_t line = __builtin_LINE()) noexcept {
    return {file, line};
  }
};

/// The user's handle to one output of a node; its data may not be there yet. Copies share.
///
/// Threads   a handle is used by one thread at a time; copies may be used by others.
/// Waiting   only item(), to_vector() and value() wait, and never inside an actor.
class Tensor {
 public:
  Tensor() noexcept = default;  ///< undefined: no tensor
  Tensor(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor other) noexcept;
  ~Tensor();

  // --- making -------------------------------------------------------------------------------

  /// Borrows the caller's elements without a copy; `owner` is kept until no tensor sees them.
  template <class T>
  [[nodiscard]] static Tensor from(
      std::span<const T> elements,
      const Shape& shape,
      std::shared_ptr<const void> owner,
      Where where = Where::here()) {
    return borrow(Meta{dtype_of<T>, shape}, std::as_bytes(elements), std::move(owner), where);
  }
  /// Copies the elements to the scope's device.
  template <class T>
  [[nodiscard]] static Tensor copy_of(
      std::span<const T> elements, const Shape& shape, Where where = Where::here()) {
    return upload(Meta{dtype_of<T>, shape}, std::as_bytes(elements), where);
  }
  [[nodiscard]] static Tensor upload(
      const Meta& meta, std::span<const std::byte> bytes, Where where = Where::here());
  [[nodiscard]] static Tensor borrow(
      const Meta& meta,
      std::span<const std::byte> bytes,
      std::shared_ptr<const void> owner,
      Where where = Where::here());
  /// A tensor whose data are there: no op made it.
  [[nodiscard]] static Tensor constant(Value value, Where where = Where::here());

  // --- what is known without data -----------------------------------------------------------

  [[nodiscard]] bool defined() const noexcept { return record_ != nullptr; }
  explicit operator bool() const noexcept { return defined(); }
  [[nodiscard]] const Meta& meta() const noexcept;
  [[nodiscard]] DType dtype() const noexcept { return meta().dtype; }
  [[nodiscard]] const Shape& shape() const noexcept { return meta().shape; }
  [[nodiscard]] std::size_t rank() const noexcept { return shape().size(); }
  /// The size along an axis, which may be negative.
  [[nodiscard]] std::int64_t size(std::int64_t axis) const;
  [[nodiscard]] std::int64_t elements() const noexcept { return meta().elements(); }
  [[nodiscard]] bool requires_grad() const noexcept;
  /// Whether the data are there already; never waits.
  [[nodiscard]] bool ready() const noexcept;

  // --- data; these wait, helping to run the graph --------------------------------------------

  /// The data, or throws what made them fail; `in_capture` for a tensor of a capture.
  [[nodiscard]] Value value() const;
  /// The only element.
  template <class T = double>
  [[nodiscard]] T item() const {
    return static_cast<T>(item_as_double());
  }
  /// All elements in row-major order; `T` must be the tensor's own element type.
  template <class T>
  [[nodiscard]] std::vector<T> to_vector() const {
    std::vector<T> out(static_cast<std::size_t>(elements()));
    download(dtype_of<T>, std::as_writable_bytes(std::span<T>(out)));
    return out;
  }
  /// Copies all elements in row-major order; throws `dtype_mismatch` unless `dtype` is the
  /// tensor's.
  void download(DType dtype, std::span<std::byte> into) const;

  // --- gradients (defined in autograd) --------------------------------------------------------

  /// The same data, seen by no gradient.
  [[nodiscard]] Tensor detach() const;

  /// Another handle to an output of a record.
  [[nodiscard]] static Tensor share(Record* record, std::uint32_t output) noexcept;
  /// Takes over a handle that the caller owns.
  [[nodiscard]] static Tensor adopt(Record* record, std::uint32_t output) noexcept;
  [[nodiscard]] Record* record() const noexcept { return record_; }
  [[nodiscard]] std::uint32_t output() const noexcept { return output_; }

 private:
  [[nodiscard]] double item_as_double() const;

  Record* record_ = nullptr;  // a handle reference: see Record
  std::uint32_t output_ = 0;
};

/// What the operators and free functions take: a tensor or a plain number, and the caller's line.
/// Never stored: it points at the caller's tensor.
///
/// A number has no dtype of its own: it takes the tensor's, except that a fraction makes an integer
/// tensor float32, as in PyTorch.
class Operand {
 public:
  Operand(const Tensor& tensor, Where where = Where::here()) noexcept  // NOLINT: meant implicit
      : tensor_(&tensor), where_(where) {}
  template <std::integral T>
  Operand(T number, Where where = Where::here()) noexcept  // NOLINT: meant implicit
      : number_(static_cast<double>(number)), where_(where) {}
  template <std::floating_point T>
  Operand(T number, Where where = Where::here()) noexcept  // NOLINT: meant implicit
      : number_(static_cast<double>(number)), fraction_(true), where_(where) {}

  [[nodiscard]] bool is_number() const noexcept { return tensor_ == nullptr; }
  [[nodiscard]] const Tensor& tensor() const noexcept { return *tensor_; }
  [[nodiscard]] double number() const noexcept { return number_; }
  [[nodiscard]] bool is_fraction() const noexcept { return fraction_; }
  [[nodiscard]] Where where() const noexcept { return where_; }

 private:
  const Tensor* tensor_ = nullptr;
  double number_ = 0;
  bool fraction_ = false;
  Where where_;
};

}  // namespace troupe
