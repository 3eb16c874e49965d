#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/ops/identity.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstring>
#include <utility>
#include <vector>

namespace troupe {

Tensor Tensor::share(Record* record, std::uint32_t output) noexcept {
  record->add_handle();
  return adopt(record, output);
}

Tensor::Tensor(const Tensor& other) noexcept : record_(other.record_), output_(other.output_) {
  if (record_) record_->add_handle();
}

Tensor::Tensor(Tensor&& other) noexcept
    : record_(std::exchange(other.record_, nullptr)), output_(other.output_) {}

Tensor& Tensor::operator=(Tensor other) noexcept {
  std::swap(record_, other.record_);
  std::swap(output_, other.output_);
  return *this;
}

Tensor::~Tensor() {
  if (record_) record_->release_handle();
}

Tensor Tensor::adopt(Record* record, std::uint32_t output) noexcept {
  Tensor tensor;
  tensor.record_ = record;
  tensor.output_ = output;
  return tensor;
}

namespace {
void check_size(const Meta& meta, std::size_t bytes, Where where) {
  try {
    check_sizes(meta);
  } catch (Error& error) {
    throw error.at(where.file, where.line);
  }
  if (bytes != meta.bytes())
    throw Error(
        ErrorCode::shape_mismatch,
        "a tensor " + to_string(meta) + " needs " + std::to_string(meta.elements()) +
            " elements, " + std::to_string(bytes / size_of(meta.dtype)) + " were given")
        .at(where.file, where.line)
        .hint("give as many elements as the sizes multiply to");
}
}  // namespace

Tensor Tensor::upload(const Meta& meta, std::span<const std::byte> bytes, Where where) {
  check_size(meta, bytes.size(), where);
  return constant(Scope::current().device().upload(meta, bytes), where);
}

Tensor Tensor::borrow(
    const Meta& meta,
    std::span<const std::byte> bytes,
    std::shared_ptr<const void> owner,
    Where where) {
  check_size(meta, bytes.size(), where);
  Device& device = Scope::current().device();
  return constant(ValueBody::make(meta, device.borrow(bytes, std::move(owner))), where);
}

Tensor Tensor::constant(Value value, Where where) {
  return adopt(Record::make_constant(std::move(value), nullptr, where), 0);
}

const Meta& Tensor::meta() const noexcept { return record_->output(output_); }

std::int64_t Tensor::size(std::int64_t axis) const {
  if (!defined())
    throw Error(ErrorCode::invalid_argument, "an undefined tensor has no sizes")
        .op("size")
        .hint("assign it the result of a call first");
  return shape()[normalize_axis(axis, rank())];
}

bool Tensor::requires_grad() const noexcept { return record_->requires_grad(); }

bool Tensor::ready() const noexcept {
  if (!record_ || record_->captured()) return false;
  return static_cast<bool>(record_->ready_value(output_));
}

namespace {

void check_data(const Tensor& tensor, std::string_view op, Where where) {
  if (!tensor)
    throw Error(ErrorCode::invalid_argument, "an undefined tensor has no data")
        .op(op)
        .at(where.file, where.line)
        .hint("assign it the result of a call first");
}

/// The value, and the line that asked for it where the error knows of none.
Value value_for(const Tensor& tensor, std::string_view op, Where where) {
  check_data(tensor, op, where);
  try {
    return tensor.value();
  } catch (Error& error) {
    if (error.op().empty()) error.op(op);
    if (error.file().empty()) error.at(where.file, where.line);
    throw;
  }
}

}  // namespace

Value Tensor::value() const {
  check_data(*this, "value", Where{});
  const Where where = record_->where();
  // Before all else: whether the data are there depends on who ran first, and must not decide.
  if (System& system = record_->device().system(); system.inside_actor())
    throw Error(ErrorCode::inside_actor, "an actor's turn must not wait for the value of a tensor")
        .hint("read it outside of actors, or subscribe to it and let it come as a message");
  if (record_->captured())
    throw Error(ErrorCode::in_capture, "this tensor was recorded by a capture and has no data")
        .at(where.file, where.line)
        .hint("let the captured function return it, or compute it outside of the capture");
  Value value = record_->ready_value(output_);
  if (!value) {
    const Node* node = Node::in(record_->cell());
    System& system = record_->device().system();
    system.wait_until([node] { return node->finished(); }, "the value of a tensor");
    value = record_->ready_value(output_);
  }
  if (const Error* error = value->error()) {
    Error copy = *error;
    if (copy.file().empty()) copy.at(where.file, where.line);
    throw copy;
  }
  return value;
}

Tensor Tensor::detach() const {
  if (!record_ || !record_->requires_grad()) return *this;
  if (!record_->captured())
    if (Value value = record_->ready_value(output_); value && !value->error())
      return constant(std::move(value), record_->where());
  const NoGrad no_grad;
  return apply(Identity{}, *this);
}

void Tensor::download(DType dtype, std::span<std::byte> into, Where where) const {
  check_data(*this, "download", where);
  if (dtype != this->dtype())
    throw Error(
        ErrorCode::dtype_mismatch,
        "a tensor " + to_string(meta()) + " was read as " + std::string(name_of(dtype)))
        .op("download")
        .at(where.file, where.line)
        .hint("cast(tensor, dtype) converts");
  const Value value = value_for(*this, "download", where);
  if (into.size() != value->meta().bytes())
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(into.size()) + " bytes of room for a tensor " + to_string(value->meta()) +
            " of " + std::to_string(value->meta().bytes()))
        .op("download")
        .at(where.file, where.line)
        .hint("give elements() of the tensor's own type");
  value->device().download(value, into);
}

Number Tensor::item_number(Where where) const {
  check_data(*this, "item", where);
  if (elements() != 1)
    throw Error(
        ErrorCode::shape_mismatch,
        "item() of a tensor " + to_string(meta()) + " that has not exactly one element")
        .op("item")
        .at(where.file, where.line)
        .hint("reduce it first, or use to_vector()");
  const Value value = value_for(*this, "item", where);
  std::byte bytes[8];
  value->device().download(value, std::span(bytes, size_of(value->dtype())));
  const auto as = [&]<class T>(T) {
    T element;
    std::memcpy(&element, bytes, sizeof(T));
    return Number(element);
  };
  switch (value->dtype()) {
    case DType::float32:
      return as(float{});
    case DType::float64:
      return as(double{});
    case DType::int32:
      return as(std::int32_t{});
    case DType::int64:
      return as(std::int64_t{});
    case DType::uint8:
      return as(std::uint8_t{});
    case DType::boolean:
      return as(bool{});
    case DType::bfloat16:
    case DType::float16:
      break;
  }
  throw Error(
      ErrorCode::dtype_mismatch,
      "item() of a tensor " + to_string(meta()) + ", whose dtype is for storage only")
      .op("item")
      .at(where.file, where.line)
      .hint("cast(tensor, DType::float32).item()");
}

}  // namespace troupe
