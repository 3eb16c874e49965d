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
std::vector<Tensor> call_op(std::span<const Tensor> in) {
  std::vector<Operand> operands(in.begin(), in.end());
  return {troupe::apply(make_op(Op{}), std::span<const Operand>(operands))};
}

template <class Op>
constexpr bool has_condition = requires {
  Op::first_is_condition;
};
template <class Op>
constexpr bool answers = Op::result(DType::float32) == DType::boolean;

template <class Op>
Case case_of(Generator& random, std::span<const Shape> shapes) {
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
  test.call = call_op<Op>;
  test.reference = [](std::span<const Doubles> in) {
    return std::vector<Doubles>{reference_of(Op{}, in, std::make_index_sequence<Op::arity>{})};
  };
  test.ulp_max = samples.ulp_max;
  test.scale = samples.scale;
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
    // Long enough for several chunks, and for rows that are passed on uncopied.
    Case large = case_of<Op>(random, std::array{Shape{300, 257}, Shape{257}, Shape{300, 1}});
    large.differentiable = false;
    CHECK(check(large) == "");
    if constexpr (Op::promotion != Promotion::floating)
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
