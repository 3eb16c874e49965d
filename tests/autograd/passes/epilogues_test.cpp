#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>

using namespace troupe;

namespace {
const Passes passes = Passes::all();
}

TEST_CASE("a product goes on with what follows it", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {gelu(linear(in[0], in[1], in[2])) + in[3]};
  };
  for (const std::int64_t rows : {1, 5, 300}) {
    const std::initializer_list<Shape> shapes{{rows, 40}, {70, 40}, {70}, {rows, 70}};
    CHECK(
        test::names(test::capture(function, shapes, passes)) ==
        std::vector<std::string>{"linear + gelu + add"});
    CHECK(test::same_bits(function, shapes, passes));
  }
}

TEST_CASE("a product goes on with dropout", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {dropout(relu(linear(in[0], in[1], in[2])), 0.25)};
  };
  // The product is read by the gradient too: yet the mask, made of nothing, can be drawn before it.
  Parameter weight(Tensor::copy_of<float>(test::numbers(70 * 40, 9), {70, 40}));
  const GraphFunction trained = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = dropout(gelu(linear(in[0], weight.tensor(), in[2])), 0.25);
    const Tensor loss = mean(softmax(y, 1) * y);
    return {loss, grad(loss, weight.tensor())};
  };
  for (const std::int64_t rows : {1, 5, 300}) {
    const std::initializer_list<Shape> shapes{{rows, 40}, {70, 40}, {70}};
    CHECK(
        test::names(test::capture(function, shapes, passes)) ==
        std::vector<std::string>{"dropout_mask", "linear + relu + dropout"});
    CHECK(test::same_bits(function, shapes, passes));
    const std::vector<std::string> names = test::names(test::capture(trained, shapes, passes));
    CAPTURE(names);
    CHECK(std::any_of(names.begin(), names.end(), [](const std::string& name) {
      return name.starts_with("linear + gelu + dropout");
    }));
    CHECK(test::same_bits(trained, shapes, passes));
  }
}

TEST_CASE("convolutions and their gradients have epilogues", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {relu(conv2d(in[0], in[1], in[2], {1, 1}, {1, 1})) * in[3]};
  };
  const std::initializer_list<Shape> shapes{{4, 3, 12, 12}, {8, 3, 3, 3}, {8}, {4, 8, 12, 12}};
  CHECK(
      test::names(test::capture(function, shapes, passes)) ==
      std::vector<std::string>{"conv2d + relu + mul"});
  CHECK(test::same_bits(function, shapes, passes));
}

TEST_CASE("a product's epilogue may have another shape", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor images = reshape(matmul(in[0], in[1]), {-1, 6, 5, 4});
    return {relu(images + in[2]) * in[3]};
  };
  // Broadcasting is by the epilogue's shape.
  for (const std::int64_t rows : {1, 5, 300}) {
    const std::initializer_list<Shape> shapes{{rows, 40}, {40, 120}, {6, 1, 1}, {rows, 6, 5, 4}};
    CHECK(
        test::names(test::capture(function, shapes, passes)) ==
        std::vector<std::string>{"matmul + reshape + add + relu + mul"});
    CHECK(test::same_bits(function, shapes, passes));
  }
  // A convolution's, too.
  const GraphFunction rows = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {tanh(reshape(conv2d(in[0], in[1]), {4, -1}))};
  };
  const std::initializer_list<Shape> shapes{{4, 3, 12, 12}, {8, 3, 3, 3}};
  CHECK(
      test::names(test::capture(rows, shapes, passes)) ==
      std::vector<std::string>{"conv2d + reshape + tanh"});
  CHECK(test::same_bits(rows, shapes, passes));
}

TEST_CASE("a product that is read in its own shape has no epilogue in another", "[autograd]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor product = matmul(in[0], in[1]);
    const Tensor flat = reshape(product, {-1});
    return {tanh(flat), sum(product, {0}, false)};
  };
  const std::initializer_list<Shape> shapes{{33, 20}, {20, 50}};
  CHECK(
      test::names(test::capture(function, shapes, passes)) ==
      std::vector<std::string>{"matmul", "reshape", "tanh", "sum"});
  CHECK(test::same_bits(function, shapes, passes));
  const GraphFunction handed_out = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor flat = reshape(matmul(in[0], in[1]), {-1});
    return {tanh(flat), flat};
  };
  CHECK(
      test::names(test::capture(handed_out, shapes, passes)) ==
      std::vector<std::string>{"matmul", "reshape", "tanh"});
  CHECK(test::same_bits(handed_out, shapes, passes));
}

TEST_CASE("a product that others read is handed out too", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor product = matmul(in[0], in[1]);
    return {tanh(product), sum(product)};
  };
  const std::initializer_list<Shape> shapes{{33, 20}, {20, 50}};
  const Program program = test::capture(function, shapes, passes);
  CHECK(test::names(program) == std::vector<std::string>{"matmul + tanh", "sum"});
  CHECK(static_cast<const Fused*>(program.graph().ops[0].op->attributes())->keeps_head);
  CHECK(test::same_bits(function, shapes, passes));
}

TEST_CASE("no product waits for what was made of it", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor product = matmul(in[0], in[1]);
    return {product - mean(product, {1}, true)};
  };
  const std::initializer_list<Shape> shapes{{33, 20}, {20, 50}};
  CHECK(
      test::names(test::capture(function, shapes, passes)) ==
      std::vector<std::string>{"matmul", "mean", "sub"});
  CHECK(test::same_bits(function, shapes, passes));
}

TEST_CASE("answers of yes or no lie beside the product", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {cast(sum(matmul(in[0], in[1]) > 0, {0}, false), DType::float32)};
  };
  const std::initializer_list<Shape> shapes{{3, 20}, {20, 5}};
  CHECK(
      test::names(test::capture(function, shapes, passes)) ==
      std::vector<std::string>{"matmul + gt", "sum", "cast"});
  CHECK(test::same_bits(function, shapes, passes));

  // In its place, once they become numbers within the epilogue.
  const GraphFunction numbers = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {cast(matmul(in[0], in[1]) > 0, DType::float32)};
  };
  CHECK(
      test::names(test::capture(numbers, shapes, passes)) ==
      std::vector<std::string>{"matmul + gt + cast"});
  CHECK(test::same_bits(numbers, shapes, passes));
}

TEST_CASE("products of 16-bit floats have epilogues", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const DType narrow = GENERATE(DType::bfloat16, DType::float16);
  const auto cast_to = [narrow](const Tensor& x) { return cast(x, narrow); };
  // As Autocast makes them: the result goes on in float32, or back in 16 bits.
  const GraphFunction wide = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = linear(cast_to(in[0]), cast_to(in[1]), cast_to(in[2]));
    return {gelu(cast(y, DType::float32)) + in[3]};
  };
  const GraphFunction back = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = cast(linear(cast_to(in[0]), cast_to(in[1]), cast_to(in[2])), DType::float32);
    return {cast(reshape(cast_to(relu(y) * in[3]), {-1}), DType::float32)};
  };
  for (const std::int64_t rows : {1, 5, 300})
    for (const std::int64_t columns : {1, 70, 600}) {
      const std::initializer_list<Shape> shapes{
          {rows, 40}, {columns, 40}, {columns}, {rows, columns}};
      const Program program = test::capture(wide, shapes, passes);
      const Graph::Op& product = program.graph().ops.back();
      CHECK(name_of(product) == "linear + cast + gelu + add");
      CHECK(product.outputs.size() == 2);  // in 16 bits it does not lie where the sum will
      CHECK(test::same_bits(wide, shapes, passes));
      const Program narrowed = test::capture(back, shapes, passes);
      bool found = false;
      for (const Graph::Op& op : narrowed.graph().ops)
        found =
            found || (name_of(op) == "linear + cast + relu + mul + cast" && op.outputs.size() == 1);
      CHECK(found);
      CHECK(test::same_bits(back, shapes, passes));
    }
}

// As the squares of a gradient, whose sum clips it.
TEST_CASE("a chain that is only folded is left to the fold", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction norm = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = matmul(in[0], in[1]);
    return {sum(square(y)), y};
  };
  // Where nobody else reads the product, it need not be written.
  const GraphFunction alone = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {sum(square(matmul(in[0], in[1])))};
  };
  for (const std::int64_t rows : {1, 5, 300}) {
    const std::initializer_list<Shape> shapes{{rows, 40}, {40, 70}};
    CHECK(
        test::names(test::capture(norm, shapes, passes)) ==
        std::vector<std::string>{"matmul", "square + sum"});
    CHECK(
        test::names(test::capture(alone, shapes, passes)) ==
        std::vector<std::string>{"matmul + square", "sum"});
    CHECK(test::same_bits(norm, shapes, passes));
    CHECK(test::same_bits(alone, shapes, passes));
  }
}
