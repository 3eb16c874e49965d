#include "average_windows.hpp"

#include <troupe/tensor/ops/avg_pool2d.hpp>

namespace troupe::cpu {
namespace {

struct Windows {
  const AvgPool2dRule& rule;
  std::int64_t sizes[2];

  Windows(const KernelCall& call, const Plan& plan)
      : rule(call.op<AvgPool2dRule>()), sizes{plan.numbers[0], plan.numbers[1]} {}

  [[nodiscard]] Span rows(std::int64_t i) const { return along(0, i); }
  [[nodiscard]] Span columns(std::int64_t j) const { return along(1, j); }
  [[nodiscard]] std::int64_t divisor(const Span& rows, const Span& columns) const {
    return rule.divisor_override ? rule.divisor_override : rows.counted * columns.counted;
  }

 private:
  [[nodiscard]] Span along(std::size_t axis, std::int64_t place) const {
    const std::int64_t size = sizes[axis];
    const std::int64_t padding = rule.padding[axis];
    const std::int64_t begin = place * rule.stride[axis] - padding;
    std::int64_t end = begin + rule.kernel_size[axis];
    // In ceil_mode a window may reach beyond the padding; what lies there never counts.
    if (end > size + padding) end = size + padding;
    Span span{begin < 0 ? 0 : begin, end < size ? end : size, 0};
    span.counted = rule.count_include_pad ? end - begin : span.end - span.begin;
    return span;
  }
};

}  // namespace

template <>
void Kernel<AvgPool2d, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.in[0].dtype == DType::float64)
    AverageWindows<Windows, double, Arch>::plan(call, plan, call.in[0], call.out[0]);
  else
    AverageWindows<Windows, float, Arch>::plan(call, plan, call.in[0], call.out[0]);
}

template <>
void Kernel<AvgPool2dBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.in[0].dtype == DType::float64)
    AverageWindows<Windows, double, Arch>::plan(call, plan, call.out[0], call.in[0]);
  else
    AverageWindows<Windows, float, Arch>::plan(call, plan, call.out[0], call.in[0]);
}

}  // namespace troupe::cpu
