#include "average_windows.hpp"

#include <troupe/tensor/ops/adaptive_avg_pool2d.hpp>

namespace troupe::cpu {
namespace {

struct Windows {
  std::int64_t sizes[2];
  std::int64_t places[2];

  Windows(const KernelCall&, const Plan& plan)
      : sizes{plan.numbers[0], plan.numbers[1]}, places{plan.numbers[2], plan.numbers[3]} {}

  [[nodiscard]] Span rows(std::int64_t i) const { return along(0, i); }
  [[nodiscard]] Span columns(std::int64_t j) const { return along(1, j); }
  [[nodiscard]] static std::int64_t divisor(const Span& rows, const Span& columns) {
    return rows.counted * columns.counted;
  }

 private:
  [[nodiscard]] Span along(std::size_t axis, std::int64_t place) const {
    const std::int64_t begin = place * sizes[axis] / places[axis];
    const std::int64_t end = ((place + 1) * sizes[axis] + places[axis] - 1) / places[axis];
    return {begin, end, end - begin};
  }
};

}  // namespace

template <>
void Kernel<AdaptiveAvgPool2d, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.in[0].dtype == DType::float64)
    AverageWindows<Windows, double, Arch>::plan(call, plan, call.in[0], call.out[0]);
  else
    AverageWindows<Windows, float, Arch>::plan(call, plan, call.in[0], call.out[0]);
}

template <>
void Kernel<AdaptiveAvgPool2dBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (call.in[0].dtype == DType::float64)
    AverageWindows<Windows, double, Arch>::plan(call, plan, call.out[0], call.in[0]);
  else
    AverageWindows<Windows, float, Arch>::plan(call, plan, call.out[0], call.in[0]);
}

}  // namespace troupe::cpu
