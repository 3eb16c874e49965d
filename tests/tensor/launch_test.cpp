#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/launch.hpp>

#include <catch2/catch_test_macros.hpp>

#include <limits>
#include <vector>

using namespace troupe;

TEST_CASE("a view that the layout forbids becomes a copy", "[tensor]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor t = transpose(x, 0, 1);
  CHECK(t.value()->buffer() == x.value()->buffer());  // a view
  const Tensor flat = reshape(t, {6});
  CHECK(flat.value()->buffer() != x.value()->buffer());  // a copy
  CHECK(flat.to_vector<float>() == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(reshape(x, {3, 2}).value()->buffer() == x.value()->buffer());
}

TEST_CASE("update rules write in place when nobody else holds the value", "[tensor]") {
  test::Engine engine;
  const auto step = [&](bool shared) {
    std::vector<Tensor> inputs{
        Tensor::copy_of<float>(std::vector<float>{1, 2}, {2}),
        Tensor::copy_of<float>(std::vector<float>{10, 10}, {2}),
        Tensor::copy_of<double>(std::vector<double>{0.125, 1}, {2})};
    const void* before = inputs[0].value()->buffer().get();
    const Tensor keep = shared ? inputs[0] : Tensor();
    std::vector<Tensor> outputs(1);
    apply_donating(make_op(SgdUpdate{}), inputs, outputs);
    CHECK(outputs[0].to_vector<float>() == std::vector<float>{-0.25f, 0.75f});
    if (shared) CHECK(keep.to_vector<float>() == std::vector<float>{1, 2});
    return outputs[0].value()->buffer().get() == before;
  };
  CHECK(step(false));
  CHECK_FALSE(step(true));
}

TEST_CASE("an update rule leaves borrowed memory alone", "[tensor]") {
  test::Engine engine;
  const std::vector<float> lent{1, 2};
  std::vector<Tensor> inputs{
      Tensor::from(std::span<const float>(lent), {2}, nullptr),
      Tensor::copy_of<float>(std::vector<float>{10, 10}, {2}),
      Tensor::copy_of<double>(std::vector<double>{0.125, 1}, {2})};
  std::vector<Tensor> outputs(1);
  apply_donating(make_op(SgdUpdate{}), inputs, outputs);
  CHECK(outputs[0].to_vector<float>() == std::vector<float>{-0.25f, 0.75f});
  CHECK(lent == std::vector<float>{1, 2});
}

TEST_CASE("has_nan finds one NaN among many numbers", "[tensor]") {
  test::Engine engine;
  std::vector<float> x(1000, 1.0f);
  CHECK_FALSE(has_nan(Tensor::copy_of<float>(x, {1000}).value()));
  x[777] = std::numeric_limits<float>::quiet_NaN();
  CHECK(has_nan(Tensor::copy_of<float>(x, {1000}).value()));
}
