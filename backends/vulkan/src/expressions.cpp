#include "expressions.hpp"

#include "glsl.hpp"

#include <troupe/tensor/all_ops.hpp>

#include <type_traits>
#include <utility>

namespace troupe::vulkan {

namespace {

template <class Op, class T>
void write(const Op& op, GlslExpression& out) {
  using P = GlslNumber<T>;
  constexpr bool condition = requires { Op::first_is_condition; };
  const auto input = [](std::size_t i) { return P::named("x" + std::to_string(i)); };
  GlslLines lines;
  const GlslLines::Guard guard(lines);
  const auto result = [&]<std::size_t... I>(std::index_sequence<I...>) {
    if constexpr (condition)
      return op.kernel(GlslMask{"(x0 != uint8_t(0u))"}, input(I + 1)...);
    else
      return op.kernel(input(I)...);
  }
  (std::make_index_sequence<Op::arity - (condition ? 1 : 0)>{});
  constexpr bool answers = !std::is_same_v<std::remove_cvref_t<decltype(result)>, P>;
  std::string value;
  if constexpr (answers)
    value = "uint8_t(" + result.text + " ? 1u : 0u)";
  else
    value = result.text();
  out = {
      lines.text + "  return " + value + ";\n",
      glsl_name<T>(),
      Op::arity,
      condition,
      answers,
      !lines.refused};
}

template <class Op>
void write(const OpInstance& op, DType dtype, GlslExpression& out) {
  if constexpr (Op::family == OpFamily::elementwise) {
    if (op.info().id != Op::id) return;
    const Op& attributes = *static_cast<const Op*>(op.attributes());
    if (dtype == DType::float32) return write<Op, float>(attributes, out);
    if (dtype == DType::float64) return write<Op, double>(attributes, out);
    if constexpr (!Op::floating_only) {
      if (dtype == DType::int32) return write<Op, std::int32_t>(attributes, out);
      if (dtype == DType::int64) return write<Op, std::int64_t>(attributes, out);
      if (dtype == DType::uint8) return write<Op, std::uint8_t>(attributes, out);
      if (dtype == DType::boolean) return write<Op, bool>(attributes, out);
    }
  }
}

template <class... Ops>
void write(const OpInstance& op, DType dtype, GlslExpression& out, OpList<Ops...>) {
  (write<Ops>(op, dtype, out), ...);
}

}  // namespace

GlslExpression expression_of(const OpInstance& op, DType dtype) {
  GlslExpression out;
  write(op, dtype, out, AllOps{});
  return out;
}

}  // namespace troupe::vulkan
