#include "graph_picture.hpp"

#include "support/count.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace troupe;

TEST_CASE("a picture has a box for each op and each source, and a line for each edge", "[cli]") {
  test::Engine engine;
  Parameter weight(ones({4, 3}));
  const Meta meta{DType::float32, {2, 3}};
  const Program program = Program::capture(
      [&](std::span<const Tensor> in) -> std::vector<Tensor> {
        const Tensor y = linear(in[0], weight.tensor());
        return {softmax(tanh(exp(y)), 1), y};
      },
      std::span(&meta, 1));
  const std::string picture = cli::picture_of(program.graph(), "a <small> graph");
  CHECK(picture.find("a &lt;small&gt; graph") != std::string::npos);
  CHECK(test::count(picture, "<g>") == program.graph().ops.size() + 2);  // the input, the parameter
  CHECK(test::count(picture, "<path ") == 3);
  CHECK(picture.find("linear + exp + tanh") != std::string::npos);
  CHECK(picture.find("graph_picture_test.cpp:") != std::string::npos);
  CHECK(picture.find("the parameter float32[4, 3]") != std::string::npos);
  CHECK(test::count(picture, "<g>") == test::count(picture, "</g>"));
}
