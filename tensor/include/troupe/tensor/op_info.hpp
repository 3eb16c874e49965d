#pragma once

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/reduce_to.hpp>

namespace troupe {

namespace detail {

template <class Op>
const Op& attributes_of(const void* attributes) noexcept {
  return *static_cast<const Op*>(attributes);
}

template <class Op>
constexpr bool has_vjp = requires(const Op& op, const Vjp& vjp) {
  op.vjp(vjp);
};

template <class Op>
Gradients run_vjp(const void* attributes, const Vjp& vjp) {
  if constexpr (has_vjp<Op>) {
    Gradients gradients = attributes_of<Op>(attributes).vjp(vjp);
    if constexpr (Op::family == OpFamily::elementwise) {
      // Broadcasting copied an input's elements; its gradient is the sum over the copies.
      for (std::size_t i = 0; i < gradients.size(); ++i)
        if (gradients[i]) gradients[i] = reduce_to(gradients[i], vjp.input_meta(i));
    }
    return gradients;
  } else if constexpr (Op::piecewise_constant) {
    return Gradients(vjp.input_count());
  } else {
    throw Error(
        ErrorCode::not_differentiable,
        "the derivative of " + std::string(Op::name) + " is not offered")
        .op(Op::name)
        .hint("give the op a vjp, or detach() its inputs");
  }
}

template <class Op>
void destroy_op(OpInstance& instance) noexcept {
  auto& self = static_cast<OpInstanceOf<Op>&>(instance);
  System* system = self.system();
  self.~OpInstanceOf<Op>();
  system->deallocate(&self, sizeof(OpInstanceOf<Op>));
}

template <class Op>
constexpr OpInfo make_op_info() {
  OpInfo info{};
  info.id = Op::id;
  info.name = Op::name;
  info.family = Op::family;
  info.promotion = Op::promotion;
  info.differentiable = !Op::piecewise_constant;
  info.random = Op::random;
  info.saves_inputs = Op::saves_inputs;
  info.saves_outputs = Op::saves_outputs;
  info.no_gradient = Op::no_gradient;
  info.donates = Op::donates;
  info.arity = Op::arity;
  info.attributes_bytes = std::is_empty_v<Op> ? 0 : sizeof(Op);
  info.equal = [](const void* a, const void* b) {
    if constexpr (requires(const Op& x) { x == x; })
      return attributes_of<Op>(a) == attributes_of<Op>(b);
    else
      return std::is_empty_v<Op> || a == b;
  };
  info.visit = [](void* attributes, FieldVisitor& visitor) {
    static_cast<Op*>(attributes)->fields(visitor);
  };
  info.infer = [](const void* attributes, std::span<const Meta> inputs, Metas& outputs) {
    attributes_of<Op>(attributes).infer(inputs, outputs);
  };
  info.vjp = run_vjp<Op>;
  if constexpr (Op::family == OpFamily::view)
    info.view = [](const void* attributes, const ValueBody& input, const Meta& output) {
      return std::optional<ViewOf>(attributes_of<Op>(attributes).view(input, output));
    };
  info.destroy = &destroy_op<Op>;
  return info;
}

}  // namespace detail

template <class Op>
constexpr OpInfo OpInfoOf<Op>::info = detail::make_op_info<Op>();

template <class Op>
constinit OpInstanceOf<Op> OpInfoOf<Op>::shared{OpInfoOf<Op>::info, nullptr, Op{}};

}  // namespace troupe
