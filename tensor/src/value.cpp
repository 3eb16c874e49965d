#include <troupe/core/system.hpp>
#include <troupe/tensor/value.hpp>

#include <new>
#include <utility>

namespace troupe {

ValueBody::~ValueBody() { delete error_; }

void ValueBody::destroy() noexcept {
  System& system = meta_->system();
  this->~ValueBody();
  system.deallocate(this, sizeof(ValueBody));
}

Value ValueBody::meta_only(Ref<SharedMeta> meta) {
  void* block = meta->system().allocate(sizeof(ValueBody));
  return Value::adopt(new (block) ValueBody(std::move(meta)));
}

Value ValueBody::make(Ref<SharedMeta> meta, Ref<Buffer> buffer) {
  Value value = meta_only(std::move(meta));
  value->strides_ = contiguous_strides(value->shape());
  value->buffer_ = std::move(buffer);
  return value;
}

Value ValueBody::make(const Meta& meta, Ref<Buffer> buffer) {
  Ref<SharedMeta> shared = SharedMeta::make(buffer->device(), meta);
  return make(std::move(shared), std::move(buffer));
}

Value ValueBody::view(const Value& of, const Meta& meta, const Dims& strides, std::int64_t offset) {
  Value value = meta_only(SharedMeta::like(of->meta_, of->device(), meta));
  value->strides_ = strides;
  value->offset_ = offset;
  value->buffer_ = of->buffer_;
  // Strides along axes of size 1 say nothing.
  std::int64_t step = 1;
  for (std::size_t i = meta.shape.size(); i-- > 0;) {
    if (meta.shape[i] != 1 && strides[i] != step) value->contiguous_ = false;
    step *= meta.shape[i];
  }
  if (meta.elements() == 0) value->contiguous_ = true;
  return value;
}

Value ValueBody::failed(System& system, Error error, std::uint64_t order) {
  Value value = meta_only(SharedMeta::make(system, Meta{}));
  value->error_ = new Error(std::move(error));
  value->offset_ = static_cast<std::int64_t>(order);
  return value;
}

}  // namespace troupe
