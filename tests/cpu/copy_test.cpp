#include "run_plan.hpp"

#include <troupe/tensor/ops/copy.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <numeric>

namespace troupe::cpu::test {
namespace {

template <class T>
T number(std::int64_t i) {
  if constexpr (std::is_same_v<T, BFloat16>)
    return {static_cast<std::uint16_t>(i)};
  else
    return static_cast<T>(i);
}
template <class T>
bool same(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

/// Copies tensors whose dimensions lie in memory in every order, on all instruction sets. Elements
/// are numbered, so that each can be told from its neighbours; `offset` moves the result off the
/// alignment that memory has.
template <class T>
void check_copies(const Shape& shape, std::int64_t gap, std::int64_t offset) {
  std::vector<std::size_t> order(shape.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  do {
    HostTensor<T> x = make_strided<T>(shape, order, gap);
    for (std::int64_t i = 0; i < x.view.elements(); ++i) x.at(i) = number<T>(i * 7 + i / 251);
    for (const NamedPlan& kernel : kernels<Copy>()) {
      HostTensor<T> y = make_tensor<T>({x.view.elements() + 2 * offset});
      y.view.data = y.data.data() + offset;
      y.view.shape = shape;
      y.view.strides = contiguous_strides(shape);
      run_kernel(kernel.plan, call_of(Copy{}, {x.view}, {y.view}), 3);
      const T untouched = poison<T>();
      bool right = true;
      for (std::int64_t i = 0; i < x.view.elements(); ++i)
        right = right && same(y.data[static_cast<std::size_t>(offset + i)], x.at(i));
      for (std::int64_t i = 0; i < offset; ++i)
        right = right && same(y.data[static_cast<std::size_t>(i)], untouched) &&
                same(y.data[y.data.size() - 2 - static_cast<std::size_t>(i)], untouched);
      CAPTURE(kernel.isa, to_string(shape), order, gap, offset, sizeof(T));
      CHECK(right);
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

template <class T>
void check_shapes() {
  // Below, at and above every tile's side; rows longer and planes wider than a chunk.
  for (const Shape& shape :
       {Shape{1},
        {5},
        {16, 16},
        {17, 15},
        {3, 40},
        {33, 70},
        {2100, 9},
        {7, 2100},
        {2, 3, 4},
        {5, 17, 33},
        {4, 16, 32},
        {40, 3, 70},
        {2, 3, 5, 7},
        {2, 18, 3, 34},
        {2, 1, 19, 20}})
    for (const std::int64_t gap : {0, 3})
      for (const std::int64_t offset : {0, 1}) check_copies<T>(shape, gap, offset);
}

}  // namespace

TEST_CASE("a copy puts the elements of any layout in order", "[cpu]") {
  check_shapes<std::uint8_t>();
  check_shapes<BFloat16>();
  check_shapes<std::int32_t>();
  check_shapes<std::int64_t>();
}

// Results of 32 MiB and more are written past the caches.
TEST_CASE("large copies put their elements in order", "[cpu]") {
  check_copies<std::int32_t>({2912, 2896}, 0, 0);
  check_copies<std::int32_t>({2912, 2897}, 0, 5);
}

TEST_CASE("a copy repeats what a stride of 0 repeats", "[cpu]") {
  for (const NamedPlan& kernel : kernels<Copy>()) {
    HostTensor<std::int32_t> x = make_tensor<std::int32_t>({40});
    std::iota(x.data.begin(), x.data.end(), 0);
    for (const bool inner : {false, true}) {
      View view = x.view;
      view.shape = {30, 40};
      if (inner) view.shape = {40, 30};
      view.strides = inner ? Dims{1, 0} : Dims{0, 1};
      view.contiguous = false;
      HostTensor<std::int32_t> y = make_tensor<std::int32_t>(view.shape);
      run_kernel(kernel.plan, call_of(Copy{}, {view}, {y.view}));
      for (std::int64_t i = 0; i < 1200; ++i) CHECK(y.at(i) == (inner ? i / 30 : i % 40));
    }
  }
}

}  // namespace troupe::cpu::test
