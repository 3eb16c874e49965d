#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/any_module.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/tensor/ops/mul.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

namespace {

struct Double : nn::Module {
  Double() : Module("Double") {}
  Tensor forward(const Tensor& x) const { return x * 2; }
};

}  // namespace

TEST_CASE("any module can be called and shares what it was made of", "[nn]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(test::numbers(6, 1), {2, 3});
  const nn::Linear linear(3, 2);
  const nn::AnyModule any = linear;
  CHECK(any(x).to_vector<float>() == linear(x).to_vector<float>());
  CHECK(any == linear);
  CHECK(any.parameters().size() == 2);
  CHECK(any.type() == "Linear");

  const nn::AnyModule twice = Double();
  CHECK(twice(x).to_vector<float>() == (x * 2).to_vector<float>());
  CHECK_THROWS_AS(twice(3), Error);
}
