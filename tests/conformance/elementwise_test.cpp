#include "case.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cmath>
#include <utility>

using namespace troupe;
using namespace troupe::conformance;

namespace {

/// Applies the op's own reference to inputs broadcast by NumPy's rule.
template <class Op, std::size_t... I>
Doubles reference_of(const Op& op, std::span<const Doubles> in, std::index_sequence<I...>) {
  Shape shape = in[0].shape;
  for (const Doubles& x : in) shape = broadcast(shape, x.shape);
  Doubles out = zeros_of(shape);
  for (std::int64_t i = 0; i < out.size(); ++i) {
    const auto at = [&](const Doubles& x) {
      std::int64_t rest = i;
      std::int64_t place = 0;
      std::int64_t step = 1;
      for (std::size_t d = shape.size(); d-- > 0;) {
        const std::int64_t index = rest % shape[d];
        rest /= shape[d];
        const std::size_t missing = shape.size() - x.shape.size();
        if (d < missing) continue;
        if (x.shape[d - missing] != 1) place += index * step;
        step *= x.shape[d - missing];
      }
      return x[place];
    };
    out[i] = op.reference(at(in[I])...);
  }
  return out;
}

template <class Op>
std::vector<Tensor> call_op(const Op& op, std::span<const Tensor> in) {
  std::vector<Operand> operands(in.begin(), in.end());
  return {troupe::apply(make_op(op), std::span<const Operand>(operands))};
}

template <class Op>
constexpr bool has_condition = requires {
  Op::first_is_condition;
};
template <class Op>
constexpr bool answers = Op::result(DType::float32) == DType::boolean;

template <class Op>
Case case_of(Generator& random, std::span<const Shape> shapes, const Op& op = {}) {
  constexpr Samples samples = Op::samples;
  Case test;
  test.name = std::string(Op::name);
  for (std::size_t k = 0; k < Op::arity; ++k) {
    const Shape& shape = shapes[k % shapes.size()];
    test.inputs.push_back(
        has_condition<Op> && k == 0
            ? draw_whole(random, shape, DType::boolean, 0, 1)
            : draw(random, shape, samples.low, samples.high, samples.gap, samples.kink));
  }
  test.call = [op](std::span<const Tensor> in) { return call_op(op, in); };
  test.reference = [op](std::span<const Doubles> in) {
    return std::vector<Doubles>{reference_of(op, in, std::make_index_sequence<Op::arity>{})};
  };
  test.ulp_max = samples.ulp_max;
  test.scale = samples.scale;
  test.linear = samples.linear;
  test.differentiable = requires(const Op& op, const Vjp& vjp) { op.vjp(vjp); };
  return test;
}

/// Integers give what double gives, as far as the dtype reaches; where double gives no number,
/// nothing is asked but to survive.
template <class Op>
void check_whole_numbers(Generator& random, DType dtype) {
  const std::int64_t low = dtype == DType::int32 || dtype == DType::int64 ? -6 : 0;
  const std::int64_t high = dtype == DType::boolean ? 1 : 6;
  Case test = case_of<Op>(random, std::array{Shape{5, 13}});
  for (std::size_t k = 0; k < Op::arity; ++k)
    if (!(has_condition<Op> && k == 0))
      test.inputs[k] = draw_whole(random, {5, 13}, dtype, low, high);
  test.differentiable = false;
  test.dtypes = {DType::float32};  // no input is of the dtype under test
  test.ulp_max = 0;
  auto plain = test.reference;
  auto run = test.call;
  // Where the reference is no number, both sides are made 0.
  auto skipped = std::make_shared<std::vector<double>>();
  test.reference = [plain, dtype, skipped](std::span<const Doubles> in) {
    std::vector<Doubles> out = plain(in);
    skipped->assign(out[0].data.size(), 1);
    for (std::int64_t i = 0; i < out[0].size(); ++i) {
      double& x = out[0][i];
      if (!std::isfinite(x)) {
        x = 0;
        (*skipped)[static_cast<std::size_t>(i)] = 0;
      } else if (dtype == DType::boolean) {
        x = x != 0;
      } else if (!answers<Op>) {
        x = std::trunc(x);
        if (dtype == DType::uint8) x = static_cast<std::uint8_t>(static_cast<std::int64_t>(x));
      }
    }
    return out;
  };
  test.call = [run, skipped](std::span<const Tensor> in) {
    std::vector<Tensor> out = run(in);
    const Tensor asked = Tensor::copy_of<double>(*skipped, out[0].shape());
    out[0] = where(ne(asked, 0), cast(out[0], DType::float64), 0.0);
    return out;
  };
  CHECK(check(test) == "");
}

/// Shapes that broadcast, drawn: of one shape, each input leaves out leading sizes or has 1 there.
template <class Op>
void check_drawn_shapes(Generator& random, const Op& op) {
  for (std::size_t rank = 1; rank <= 4; ++rank) {
    const Shape whole = draw_shape(random, rank);
    std::array<Shape, 3> shapes;
    for (Shape& shape : shapes) {
      const std::size_t left_out = random() % (rank + 1);
      shape = Shape(std::span<const std::int64_t>(whole.begin() + left_out, whole.end()));
      for (std::int64_t& size : shape)
        if (random() % 4 == 0) size = 1;
    }
    CHECK(check(case_of<Op>(random, shapes, op)) == "");
  }
}

template <class Op>
void check_op() {
  if constexpr (Op::family == OpFamily::elementwise) {
    Generator random(static_cast<std::uint64_t>(Op::id) + 1);
    const std::array<std::array<Shape, 3>, 4> choices = {{
        {Shape{37}, Shape{37}, Shape{37}},       // longer than a register, not a multiple
        {Shape{3, 5}, Shape{5}, Shape{3, 1}},    // rows and columns repeated
        {Shape{2, 1, 4}, Shape{3, 1}, Shape{}},  // each repeats the other
        {Shape{}, Shape{1}, Shape{1, 1}},        // single elements
    }};
    for (const auto& shapes : choices) CHECK(check(case_of<Op>(random, shapes)) == "");
    check_drawn_shapes(random, Op{});
    // Long enough for several chunks, and for rows that are passed on uncopied.
    Case large = case_of<Op>(random, std::array{Shape{300, 257}, Shape{257}, Shape{300, 1}});
    large.differentiable = false;
    CHECK(check(large) == "");
    if constexpr (!Op::floating_only)
      for (const DType dtype : {DType::int32, DType::int64, DType::uint8, DType::boolean})
        check_whole_numbers<Op>(random, dtype);
  }
}

template <class... Ops>
void check_all(OpList<Ops...>) {
  (check_op<Ops>(), ...);
}

}  // namespace

// Goal: every elementwise op gives what its plain reference gives, and its vjp rule what
// differences give. Method: generated from AllOps; a new op is tested because it is in the list.
TEST_CASE("elementwise ops conform", "[conformance]") { check_all(AllOps{}); }

// Attributes other than the defaults, which the generated cases take.
TEST_CASE("elementwise ops heed their attributes", "[conformance]") {
  Generator random(71);
  const auto check_with = [&](const auto& op) { check_drawn_shapes(random, op); };
  Clamp clamp;
  clamp.min = -1;  // a kink at 1 is kept clear of by the samples; this one by the numbers drawn
  clamp.max = 1;
  for (int i = 0; i < 4; ++i) {
    Case test = case_of<Clamp>(random, std::array{draw_shape(random, 2, 9)}, clamp);
    for (double& x : test.inputs[0].elements.data)
      if (std::abs(x + 1) < 0.05) x = -1.25;
    CHECK(check(test) == "");
  }
  clamp.min = 2;  // above the maximum, which wins
  check_with(clamp);
  LeakyRelu leaky;
  leaky.negative_slope = -0.3;
  check_with(leaky);
  Elu elu;
  elu.alpha = 0.7;
  check_with(elu);
  Softplus softplus;
  softplus.beta = 2.5;
  softplus.threshold = 4;
  check_with(softplus);
  Gelu gelu;
  gelu.approximate = GeluForm::tanh;
  check_with(gelu);
  GeluBackward gelu_backward;
  gelu_backward.approximate = GeluForm::tanh;
  check_with(gelu_backward);
  Dropout dropout;
  dropout.scale = 0;  // all are dropped
  check_with(dropout);
  DivRounded down;
  down.down = true;
  check_with(down);
}

// A sign bit of a mask was once taken for an "or" on AVX-512: every combination, over whole
// registers and a tail.
TEST_CASE("remainders and rounded quotients are right for all signs", "[conformance]") {
  Generator random(72);
  for (const double a_sign : {1.0, -1.0})
    for (const double b_sign : {1.0, -1.0})
      for (const std::int64_t length : {16, 32, 67}) {
        Case test;
        test.name = "remainder";
        test.inputs = {draw(random, {length}, 0.6, 9), draw(random, {length}, 0.6, 3)};
        for (std::int64_t i = 0; i < length; ++i) {
          test.inputs[0].elements[i] *= a_sign;
          test.inputs[1].elements[i] *= b_sign;
        }
        test.call = [](std::span<const Tensor> in) {
          return std::vector{
              remainder(in[0], in[1]),
              fmod(in[0], in[1]),
              div(in[0], in[1], Rounding::floor),
              div(in[0], in[1], Rounding::trunc)};
        };
        test.reference = [](std::span<const Doubles> in) {
          std::vector<Doubles> out(4, in[0]);
          for (std::int64_t i = 0; i < in[0].size(); ++i) {
            const double a = in[0][i];
            const double b = in[1][i];
            const double left = std::fmod(a, b);
            out[0][i] = left != 0 && (left < 0) != (b < 0) ? left + b : left;
            out[1][i] = left;
            out[2][i] = std::floor(a / b);
            out[3][i] = std::trunc(a / b);
          }
          return out;
        };
        test.ulp_max = 1;
        test.differentiable = false;
        CHECK(check(test) == "");
        for (const DType dtype : {DType::int32, DType::int64}) {
          Case whole = test;
          whole.inputs = {
              draw_whole(random, {length}, dtype, 1, 99),
              draw_whole(random, {length}, dtype, 1, 9)};
          for (std::int64_t i = 0; i < length; ++i) {
            whole.inputs[0].elements[i] *= a_sign;
            whole.inputs[1].elements[i] *= b_sign;
          }
          whole.dtypes = {DType::float32};  // no input is of the dtype under test
          whole.ulp_max = 0;
          CHECK(check(whole) == "");
        }
      }
}
