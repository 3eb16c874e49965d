#include "expressions.hpp"

#include "machine.hpp"

#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::vulkan {

using test::says;

TEST_CASE("an op becomes the body of a function", "[vulkan]") {
  const GlslExpression add = expression_of(*make_op(Add{}), DType::float32);
  CHECK(add.there);
  CHECK(add.arity == 2);
  CHECK(add.type == "float");
  CHECK_FALSE(add.answers);
  CHECK_FALSE(add.condition);
  CHECK(says(add.body, "x0"));
  CHECK(says(add.body, "x1"));
  CHECK(says(add.body, "return"));
}

TEST_CASE("an expression computes in the dtype's own type", "[vulkan]") {
  CHECK(expression_of(*make_op(Add{}), DType::int32).type == "int");
  CHECK(expression_of(*make_op(Add{}), DType::float64).type == "double");
}

TEST_CASE("comparisons answer, and conditions ask", "[vulkan]") {
  const GlslExpression less = expression_of(*make_op(Lt{}), DType::float32);
  CHECK(less.answers);
  CHECK(less.type == "float");
  const GlslExpression where = expression_of(*make_op(Choose{}), DType::float32);
  CHECK(where.condition);
  CHECK(where.arity == 3);
  CHECK_FALSE(where.answers);
}

TEST_CASE("attributes are written into the expression", "[vulkan]") {
  System system{System::Options{.threads = 1}};
  Device& cpu = cpu::attach(system);
  const Scope scope(system, cpu);
  const auto body = [](double slope) {
    return expression_of(*make_op(LeakyRelu{{}, slope}), DType::float32).body;
  };
  CHECK(body(0.25) != body(0.5));
  CHECK(body(0.25) == body(0.25));
}

TEST_CASE("what GLSL cannot compute in a dtype is not there", "[vulkan]") {
  CHECK_FALSE(expression_of(*make_op(Sin{}), DType::int32).there);
  CHECK_FALSE(expression_of(*make_op(Add{}), DType::float16).there);
}

}  // namespace troupe::vulkan
