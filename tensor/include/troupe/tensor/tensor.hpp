#pragma once

#include <troupe/core/address.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/number.hpp>
#include <troupe/tensor/value.hpp>
#include <troupe/tensor/where.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe {

class Record;
class Tensor;

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

  /// The data, or throws what made them fail; `in_capture` for a tensor of a capture, and
  /// `inside_actor` in an actor's turn, also where nothing would have to be waited for.
  [[nodiscard]] Value value() const;
  /// The only element, as `Number` converts.
  template <class T = double>
  [[nodiscard]] T item(Where where = Where::here()) const {
    return item_number(where).template to<T>();
  }
  /// All elements in row-major order; `T` must be the tensor's own element type.
  template <class T>
  [[nodiscard]] std::vector<T> to_vector(Where where = Where::here()) const {
    // std::vector<bool> has no bytes to be written to.
    std::vector<std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>> out(
        defined() ? static_cast<std::size_t>(elements()) : 0);
    download(dtype_of<T>, std::as_writable_bytes(std::span(out)), where);
    if constexpr (std::is_same_v<T, bool>)
      return {out.begin(), out.end()};
    else
      return out;
  }
  /// Copies all elements in row-major order; throws `dtype_mismatch` unless `dtype` is the
  /// tensor's.
  void download(DType dtype, std::span<std::byte> into, Where where = Where::here()) const;

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
  [[nodiscard]] Number item_number(Where where) const;

  Record* record_ = nullptr;  // a handle reference: see Record
  std::uint32_t output_ = 0;
};

/// What the operators and free functions take: a tensor or a plain number, and the caller's line.
/// Never stored: it points at the caller's tensor.
///
/// A number has no dtype of its own: it takes the tensor's, except that a fraction makes an integer
/// tensor float32 and a whole number makes a bool tensor int64, as in PyTorch.
class Operand {
 public:
  Operand(const Tensor& tensor, Where where = Where::here()) noexcept  // NOLINT: meant implicit
      : tensor_(&tensor), where_(where) {}
  template <PlainNumber T>
  Operand(T number, Where where = Where::here()) noexcept  // NOLINT: meant implicit
      : number_(number), where_(where) {}
  Operand(Number number, Where where = Where::here()) noexcept  // NOLINT: meant implicit
      : number_(number), where_(where) {}

  [[nodiscard]] bool is_number() const noexcept { return tensor_ == nullptr; }
  /// Only if it is no number; may be undefined. Where shape or dtype are asked for,
  /// `checked_tensor` comes first.
  [[nodiscard]] const Tensor& tensor() const noexcept { return *tensor_; }
  [[nodiscard]] Number number() const noexcept { return number_; }
  [[nodiscard]] Where where() const noexcept { return where_; }

 private:
  const Tensor* tensor_ = nullptr;
  Number number_;
  Where where_;
};

/// The tensor behind an operand whose shape or dtype a call must see; throws `invalid_argument`
/// naming op and line when it is undefined, or a number.
[[nodiscard]] const Tensor& checked_tensor(const Operand& x, std::string_view op);
/// Throws the same for an undefined tensor; a number passes.
void check_defined(const Operand& x, std::string_view op);
/// torch.result_type: the dtype in which the operands meet. Tensors without dimensions, and then
/// numbers, weigh only where they are of a higher category (bool, integer, floating) than all that
/// have dimensions. The tensors must be defined.
[[nodiscard]] DType result_type(std::span<const Operand> operands);

/// A copy on another device of the same system; the tensor itself when it is there already. Waits
/// for nothing: the transfer is an op like any other (`ToDevice`), whose node receives on the
/// device that is named, and whose gradient travels back; in a capture, one in each step.
[[nodiscard]] Tensor to(const Tensor& x, Device& device, Where where = Where::here());
/// The same by name; throws `device_mismatch` for a device that is not attached.
[[nodiscard]] Tensor to(const Tensor& x, std::string_view device, Where where = Where::here());

}  // namespace troupe
