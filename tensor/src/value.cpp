#include <troupe/core/system.hpp>
#include <troupe/tensor/value.hpp>

#include <new>
#include <utility>

namespace troupe {

ValueBody::~ValueBody() { delete error_; }

void ValueBody::destroy() noexcept {
  System& system = *system_;
  this->~ValueBody();
  system.deallocate(this, sizeof(ValueBody));
}

Value ValueBody::make(System& system, const Meta& meta, Ref<Buffer> buffer) {
  auto* body = new (system.allocate(sizeof(ValueBody))) ValueBody(system, meta);
  body->strides_ = contiguous_strides(meta.shape);
  body->buffer_ = std::move(buffer);
  return Value::adopt(body);
}

Value ValueBody::view(
    System& system, const Value& of, const Meta& meta, const Dims& strides, std::int64_t offset) {
  auto* body = new (system.allocate(sizeof(ValueBody))) ValueBody(system, meta);
  body->strides_ = strides;
  body->offset_ = offset;
  body->buffer_ = of->buffer_;
  // Strides along axes of size 1 say nothing.
  std::int64_t step = 1;
  for (std::size_t i = meta.shape.size(); i-- > 0;) {
    if (meta.shape[i] != 1 && strides[i] != step) body->contiguous_ = false;
    step *= meta.shape[i];
  }
  if (meta.elements() == 0) body->contiguous_ = true;
  return Value::adopt(body);
}

Value ValueBody::failed(System& system, Error error, std::uint64_t order) {
  auto* body = new (system.allocate(sizeof(ValueBody))) ValueBody(system, Meta{});
  body->error_ = new Error(std::move(error));
  body->offset_ = static_cast<std::int64_t>(order);
  return Value::adopt(body);
}

Value ValueBody::meta_only(System& system, const Meta& meta) {
  return Value::adopt(new (system.allocate(sizeof(ValueBody))) ValueBody(system, meta));
}

}  // namespace troupe
