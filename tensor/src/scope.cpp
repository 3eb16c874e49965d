#include <troupe/core/error.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/scope.hpp>

#include <string>

namespace troupe {

namespace {
thread_local Scope* current_scope = nullptr;
}

struct Scope::Seat {
  explicit Seat(System& system) : guard(system) {}
  Scheduler::CallerGuard guard;
};

Scope::Scope(System& system) : Scope(system, Devices::of(system).first()) {}

Scope::Scope(System& system, Device& device) : system_(&system), device_(&device) {
  outer_ = current_scope;
  if (outer_ && outer_->system_ == system_) {
    random_ = outer_->random_;
    grad_enabled_ = outer_->grad_enabled_;
    product_dtype_ = outer_->product_dtype_;
    builder_ = outer_->builder_;
    turn_ = outer_->turn_;
  } else {
    seat_ = std::make_unique<Seat>(system);
  }
  current_scope = this;
}

Scope::Scope(Inside, Device& device, Turn& turn) noexcept
    : system_(&device.system()), device_(&device), grad_enabled_(false), turn_(&turn) {
  outer_ = current_scope;
  current_scope = this;
}

Scope::~Scope() { current_scope = outer_; }

Scope& Scope::current() {
  if (!current_scope)
    throw Error(ErrorCode::invalid_argument, "no scope names the system that this call is for")
        .hint(
            "make one first: troupe::System system; troupe::cpu::attach(system); "
            "troupe::Scope scope(system);");
  return *current_scope;
}

Scope* Scope::current_or_null() noexcept { return current_scope; }

Autocast::Autocast(DType dtype) {
  if (dtype != DType::float32 && dtype != DType::bfloat16)
    throw Error(
        ErrorCode::dtype_mismatch,
        "products were asked for in " + std::string(name_of(dtype)) + " for float32 operands")
        .hint("Autocast takes DType::bfloat16, or DType::float32 for none");
  set_product_dtype(dtype);
}

}  // namespace troupe
