#pragma once

#include <troupe/tensor/op.hpp>

#include <string>

namespace troupe::vulkan {

/// An elementwise op as GLSL: the body of a function that takes x0, x1, … of the type it computes
/// in and returns the result.
struct GlslExpression {
  std::string body;
  std::string_view type;  ///< it computes in
  std::size_t arity = 0;
  bool condition = false;  ///< x0 is yes or no, a byte, whatever the type
  bool answers = false;    ///< the result is yes or no
  bool there = false;      ///< false: GLSL cannot compute it in this dtype
};

/// The expression of an op, its attributes written in; `dtype` is that of the last input.
[[nodiscard]] GlslExpression expression_of(const OpInstance& op, DType dtype);

}  // namespace troupe::vulkan
