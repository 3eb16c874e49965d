#include "op_check.hpp"

#include <troupe/tensor/ops/sgd_update.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

Samples reference(const SgdUpdate& op, const Samples& in) {
  const bool momentum = op.momentum != 0;
  const Sample& g = in[momentum ? 2 : 1];
  const Sample& scalars = in.back();
  Samples out{in[0]};
  if (momentum) out.push_back(in[1]);
  for (std::int64_t i = 0; i < in[0].meta.elements(); ++i) {
    double d = (op.maximize ? -g[i] : g[i]) + op.weight_decay * in[0][i];
    if (momentum) {
      const double state = scalars[1] == 1 ? d : op.momentum * in[1][i] + (1 - op.dampening) * d;
      out[1][i] = state;
      d = op.nesterov ? d + op.momentum * state : state;
    }
    out[0][i] = in[0][i] - scalars[0] * d;
  }
  return out;
}

const std::vector<SgdUpdate> rules{
    {},
    {{}, 0, 0, 0.1, false, true},
    {{}, 0.9, 0, 0, false, false},
    {{}, 0.9, 0.5, 0.01, false, true},
    {{}, 0.8, 0, 0.01, true, false}};

}  // namespace

TEST_CASE("SGD's step matches its formula", "[cpu]") {
  std::mt19937_64 random(1);
  for (const SgdUpdate& op : rules)
    for (const Shape& shape : {Shape{1}, Shape{3, 5}, Shape{64}, Shape{40000}, Shape{0}})
      for (const double step : {1.0, 2.0}) {
        CAPTURE(to_string(shape), op.momentum, step);
        Samples in{draw_sample(random, shape)};
        if (op.momentum != 0) in.push_back(draw_sample(random, shape));
        in.push_back(draw_sample(random, shape));
        in.push_back({{DType::float64, {2}}, {0.1, step}});
        CHECK(check_op(op, in, [&](const Samples& x) { return reference(op, x); }) == "");
      }
}

TEST_CASE("SGD updates in place with the same bits", "[cpu]") {
  std::mt19937_64 random(2);
  const SgdUpdate op{{}, 0.9, 0, 0.01, true, false};
  const Samples in{
      draw_sample(random, {1001}),
      draw_sample(random, {1001}),
      draw_sample(random, {1001}),
      {{DType::float64, {2}}, {0.1, 7}}};
  for (const NamedPlan& kernel : kernels<SgdUpdate>()) {
    const Samples apart = run_op(kernel.plan, op, in);
    std::vector<Placed> operands;
    for (const Sample& sample : in) operands.push_back(place(sample, Layout::contiguous));
    run_kernel(
        kernel.plan,
        call_of(
            op,
            {operands[0].view, operands[1].view, operands[2].view, operands[3].view},
            {operands[0].view, operands[1].view}));
    for (std::int64_t i = 0; i < 1001; ++i) {
      CHECK(operands[0].view.as<double>()[i] == apart[0][i]);
      CHECK(operands[1].view.as<double>()[i] == apart[1][i]);
    }
  }
}

}  // namespace troupe::cpu::test
