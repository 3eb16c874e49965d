#include "op_check.hpp"

#include <troupe/tensor/ops/adam_update.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

Samples reference(const AdamUpdate& op, const Samples& in) {
  const Sample& g = in[op.amsgrad ? 4 : 3];
  const double rate = in.back()[0];
  const double correction1 = 1 - std::pow(op.beta1, in.back()[1]);
  const double correction2 = 1 - std::pow(op.beta2, in.back()[1]);
  Samples out(in.begin(), in.begin() + (op.amsgrad ? 4 : 3));
  for (std::int64_t i = 0; i < in[0].meta.elements(); ++i) {
    double w = in[0][i];
    double d = op.maximize ? -g[i] : g[i];
    if (op.decoupled)
      w -= rate * op.weight_decay * w;
    else
      d += op.weight_decay * w;
    out[1][i] = op.beta1 * in[1][i] + (1 - op.beta1) * d;
    out[2][i] = op.beta2 * in[2][i] + (1 - op.beta2) * d * d;
    double spread = out[2][i];
    if (op.amsgrad) spread = out[3][i] = std::max(in[3][i], spread);
    out[0][i] =
        w - rate / correction1 * out[1][i] / (std::sqrt(spread) / std::sqrt(correction2) + op.eps);
  }
  return out;
}

const std::vector<AdamUpdate> rules{
    {},
    {{}, 0.9, 0.999, 1e-8, 0.01, false, false, false},
    {{}, 0.9, 0.999, 1e-8, 0.01, true, false, true},
    {{}, 0.8, 0.95, 1e-3, 0.1, true, true, false},
    {{}, 0.5, 0.9, 1e-8, 0, false, true, false}};

}  // namespace

TEST_CASE("Adam's step matches its formula", "[cpu]") {
  std::mt19937_64 random(1);
  for (const AdamUpdate& op : rules)
    for (const Shape& shape : {Shape{1}, Shape{3, 5}, Shape{64}, Shape{40000}, Shape{0}})
      for (const double step : {1.0, 1000.0}) {
        CAPTURE(to_string(shape), op.amsgrad, op.decoupled, step);
        Samples in{
            draw_sample(random, shape),
            draw_sample(random, shape),
            draw_sample(random, shape, 0.1, 1)};
        if (op.amsgrad) in.push_back(draw_sample(random, shape, 0.1, 1));
        in.push_back(draw_sample(random, shape));
        in.push_back({{DType::float64, {2}}, {0.01, step}});
        // 1 − beta2 = 0.001 is rounded to float32, and divides at the first step.
        const Bounds bounds{1e-5, 1e-12};
        CHECK(
            check_op(
                op, in, [&](const Samples& x) { return reference(op, x); }, bounds) == "");
      }
}

TEST_CASE("Adam updates in place with the same bits", "[cpu]") {
  std::mt19937_64 random(2);
  const AdamUpdate op{};
  const Samples in{
      draw_sample(random, {1001}),
      draw_sample(random, {1001}),
      draw_sample(random, {1001}, 0, 1),
      draw_sample(random, {1001}),
      {{DType::float64, {2}}, {0.1, 7}}};
  for (const NamedPlan& kernel : kernels<AdamUpdate>()) {
    const Samples apart = run_op(kernel.plan, op, in);
    std::vector<Placed> at;
    for (const Sample& sample : in) at.push_back(place(sample, Layout::contiguous));
    run_kernel(
        kernel.plan,
        call_of(
            op,
            {at[0].view, at[1].view, at[2].view, at[3].view, at[4].view},
            {at[0].view, at[1].view, at[2].view}));
    for (std::size_t k = 0; k < 3; ++k)
      for (std::int64_t i = 0; i < 1001; ++i) CHECK(at[k].view.as<double>()[i] == apart[k][i]);
  }
}

}  // namespace troupe::cpu::test
