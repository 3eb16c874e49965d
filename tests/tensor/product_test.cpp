#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/scaled_dot_product_attention.hpp>
#include <troupe/tensor/ops/softmax.hpp>
#include <troupe/tensor/product.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace troupe;

namespace {

Tensor narrow(const Tensor& x) { return cast(x, DType::bfloat16); }
Tensor wide(const Tensor& x) { return cast(x, DType::float32); }
std::vector<float> bits(const Tensor& x) { return x.to_vector<float>(); }

}  // namespace

TEST_CASE("under Autocast a product of float32 is one of bfloat16", "[tensor]") {
  test::Engine engine;
  const Tensor a = test::drawn({5, 33}, 1);
  const Tensor b = test::drawn({33, 7}, 2);
  const Tensor weight = test::drawn({7, 33}, 3);
  const Tensor bias = test::drawn({7}, 4);
  const std::vector<float> plain = bits(matmul(a, b));
  const std::vector<float> product = bits(wide(matmul(narrow(a), narrow(b))));
  const std::vector<float> layer = bits(wide(linear(narrow(a), narrow(weight))));
  REQUIRE(plain != product);

  const Autocast autocast;
  CHECK(matmul(a, b).dtype() == DType::float32);
  CHECK(bits(matmul(a, b)) == product);
  CHECK(bits(linear(a, weight)) == layer);
  // The bias is not rounded.
  CHECK(bits(linear(a, weight, bias)) == bits(Tensor::copy_of<float>(layer, {5, 7}) + bias));
  const Autocast none(DType::float32);
  CHECK(bits(matmul(a, b)) == plain);
}

TEST_CASE("under Autocast all but products is as without", "[tensor]") {
  test::Engine engine;
  const Tensor a = test::drawn({6, 6}, 1);
  const Tensor b = test::drawn({6, 6}, 2);
  const auto others = [&] { return bits(softmax(a * b + a / b, 1)); };
  const std::vector<float> plain = others();
  const Autocast autocast;
  CHECK(others() == plain);
}

TEST_CASE("Autocast is about float32 alone", "[tensor]") {
  test::Engine engine;
  const Tensor a = test::drawn({6, 9}, 1);
  const Tensor b = test::drawn({9, 6}, 2);
  const auto products = [&](DType dtype) { return matmul(cast(a, dtype), cast(b, dtype)); };
  const std::vector<double> doubles = products(DType::float64).to_vector<double>();
  const Autocast autocast;
  CHECK(products(DType::float64).to_vector<double>() == doubles);
  CHECK(products(DType::int32).dtype() == DType::int32);
  CHECK(products(DType::bfloat16).dtype() == DType::bfloat16);
  CHECK(products(DType::float16).dtype() == DType::float16);
  // One float32 is enough for the product to be one.
  const Tensor mixed = matmul(narrow(a), b);
  CHECK(mixed.dtype() == DType::float32);
  CHECK(bits(mixed) == bits(matmul(a, b)));
  const Tensor half = cast(b, DType::float16);
  const Operand factors[] = {a, half};
  CHECK_FALSE(autocasts(factors));
}

TEST_CASE(
    "attention is float32 under Autocast, but its products where a mask composes it", "[tensor]") {
  test::Engine engine;
  const Tensor query = test::drawn({2, 5, 8}, 1);
  const Tensor key = test::drawn({2, 7, 8}, 2);
  const Tensor value = test::drawn({2, 7, 4}, 3);
  const Tensor none = test::drawn({5, 7}, 4) * 0;
  const std::vector<float> plain =
      bits(scaled_dot_product_attention(query, key, value, {}, 0, false, 0.5));
  const Tensor scores = wide(matmul(narrow(query * 0.5), narrow(transpose(key, -2, -1)))) + none;
  const std::vector<float> expected =
      bits(wide(matmul(narrow(softmax(scores, -1)), narrow(value))));
  const Autocast autocast;
  CHECK(bits(scaled_dot_product_attention(query, key, value, {}, 0, false, 0.5)) == plain);
  CHECK(bits(scaled_dot_product_attention(query, key, value, none, 0, false, 0.5)) == expected);
}

TEST_CASE("in a turn products follow from what they are given", "[tensor]") {
  test::Engine engine;
  const Tensor a = test::drawn({5, 33}, 1);
  const Tensor b = test::drawn({33, 7}, 2);
  const std::vector<float> plain = bits(matmul(a, b));
  const Autocast autocast;
  Turn turn;
  const InTurn in_turn(turn);
  CHECK(bits(matmul(a, b)) == plain);
}

TEST_CASE("what linear refuses it refuses under Autocast, in the same words", "[tensor]") {
  test::Engine engine;
  const Tensor x = test::drawn({5, 3}, 1);
  const Tensor weight = test::drawn({4, 3}, 2);
  const auto refusals = [&] {
    std::string text;
    const Tensor biases[] = {
        test::drawn({1}, 3), test::drawn({4, 1}, 3), cast(test::drawn({4}, 3), DType::float64)};
    for (const Tensor& bias : biases) try {
        (void)linear(x, weight, bias);
        text += "taken; ";
      } catch (const Error& error) {
        text += error.message() + "; ";
      }
    try {
      (void)linear(x, x, test::drawn({5}, 3));
      (void)linear(x, test::drawn({3}, 3), test::drawn({3}, 3));
    } catch (const Error& error) {
      text += error.message();
    }
    return text;
  };
  const std::string plain = refusals();
  CHECK(plain.find("taken") == std::string::npos);
  const Autocast autocast;
  CHECK(refusals() == plain);
}
