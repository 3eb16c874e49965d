#include "graph_picture.hpp"

#include "support/engine.hpp"

#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace troupe;

namespace {

std::size_t count(const std::string& text, std::string_view word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++found;
  return found;
}

}  // namespace

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
  CHECK(count(picture, "<g>") == program.graph().ops.size() + 2);  // the input, the parameter
  CHECK(count(picture, "<path ") == 3);
  CHECK(picture.find("linear + exp + tanh") != std::string::npos);
  CHECK(picture.find("graph_picture_test.cpp:") != std::string::npos);
  CHECK(picture.find("the parameter float32[4, 3]") != std::string::npos);
  CHECK(count(picture, "<g>") == count(picture, "</g>"));
}
