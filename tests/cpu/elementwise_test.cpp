#include "kernel_tables.hpp"
#include "run_plan.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>

namespace troupe::cpu::test {

// Results of 32 MiB and more are written past the caches, by way of a tile. Rows of 2,897 floats
// begin at every alignment; inputs repeat along either axis, or lie turned.
TEST_CASE("large elementwise results hold what small ones would", "[cpu]") {
  const Shape shape{2900, 2897};
  std::mt19937_64 random(1);
  HostTensor<float> x = make_tensor<float>(shape);
  HostTensor<float> turned = make_strided<float>(shape, {1, 0});
  HostTensor<float> row = make_tensor<float>({2897});
  HostTensor<float> column = make_tensor<float>({2900, 1});
  for (HostTensor<float>* tensor : {&x, &turned, &row, &column})
    for (std::size_t i = 0; i + 1 < tensor->data.size(); ++i)
      tensor->data[i] = static_cast<float>(i % 8191) * 0.25F;
  HostTensor<float> y = make_tensor<float>(shape);
  for (const NamedTable& set : kernel_tables())
    for (const HostTensor<float>* other : {&row, &column, &turned}) {
      CAPTURE(set.isa, to_string(other->view.shape));
      const Expression add =
          set.table.expressions[index_of<Add>]->by_dtype[static_cast<std::size_t>(DType::float32)];
      const KernelCall call = call_of(Add{}, {x.view, other->view}, {y.view});
      Plan plan;
      set.table.plan_elementwise(call, plan, add, true);
      y.data.assign(y.data.size(), poison<float>());
      run_plan(call, plan, 5);
      bool right = true;
      for (std::int64_t i = 0; i < y.view.elements(); ++i) {
        const std::int64_t at = other == &row ? i % 2897 : other == &column ? i / 2897 : i;
        right = right && y.data[static_cast<std::size_t>(i)] == x.at(i) + other->at(at);
      }
      CHECK(right);
      CHECK(std::isnan(y.data.back()));
    }
}

}  // namespace troupe::cpu::test
