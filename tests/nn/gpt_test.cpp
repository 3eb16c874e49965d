#include "layer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/gpt.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/ops/reshape.hpp>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

using namespace troupe;
using nn::test::check_layer;

namespace {

nn::GPTOptions small(bool tied = true) {
  return {
      .vocab_size = 7,
      .context_length = 5,
      .num_layers = 2,
      .embed_dim = 4,
      .num_heads = 2,
      .tied = tied};
}

Tensor tokens_of(const std::vector<std::int64_t>& tokens, const Shape& shape) {
  return Tensor::copy_of<std::int64_t>(tokens, shape);
}

}  // namespace

TEST_CASE("a GPT computes what PyTorch's parts do", "[nn]") {
  test::Engine engine;
  // Each of the five norms divides by the deviation of four numbers, and the roundings before it.
  constexpr double tolerance = 2e-5;
  check_layer("gpt_tied", nn::GPT(small()), 1, tolerance);
  // Of fewer places than its context has, and with a head of its own.
  check_layer("gpt_untied_short", nn::GPT(small(false)), 1, tolerance);
}

TEST_CASE("a GPT's parameters have GPT-2's names, and the promised number", "[nn]") {
  test::Engine engine;
  std::vector<std::string> names;
  for (const auto& [name, parameter] : nn::GPT(small(false)).named_parameters())
    if (!name.starts_with("h.1.")) names.push_back(name);
  CHECK(
      names == std::vector<std::string>{
                   "wte.weight",
                   "wpe.weight",
                   "h.0.ln_1.weight",
                   "h.0.ln_1.bias",
                   "h.0.attn.c_attn.weight",
                   "h.0.attn.c_attn.bias",
                   "h.0.attn.c_proj.weight",
                   "h.0.attn.c_proj.bias",
                   "h.0.ln_2.weight",
                   "h.0.ln_2.bias",
                   "h.0.mlp.c_fc.weight",
                   "h.0.mlp.c_fc.bias",
                   "h.0.mlp.c_proj.weight",
                   "h.0.mlp.c_proj.bias",
                   "ln_f.weight",
                   "ln_f.bias",
                   "lm_head.weight"});
  // Of a layer 12·w² weights and 13·w of biases and norms; 2·w of the last norm.
  CHECK(nn::GPT().parameter_count() == (256 + 128) * 256 + 4 * (12 * 65'536 + 13 * 256) + 512);
  nn::GPTOptions untied;
  untied.tied = false;
  CHECK(nn::GPT(untied).parameter_count() == nn::GPT().parameter_count() + 256 * 256);
}

TEST_CASE("a tied head is saved once", "[nn]") {
  test::Engine engine;
  std::set<std::string> names;
  for (const auto& [name, tensor] : nn::GPT(small()).state_dict()) names.insert(name);
  CHECK(names.size() == nn::GPT(small()).state_dict().size());
  CHECK(names.contains("wte.weight"));
  CHECK_FALSE(names.contains("lm_head.weight"));
}

TEST_CASE("weights begin as GPT-2's do", "[nn]") {
  test::Engine engine;
  engine.scope.seed(1);
  const nn::GPT model({.num_layers = 2, .embed_dim = 64, .tied = false});
  for (const auto& [name, parameter] : model.named_parameters()) {
    CAPTURE(name);
    const auto numbers = parameter.tensor().to_vector<float>();
    double sum = 0;
    double square = 0;
    for (const float number : numbers) {
      sum += number;
      square += number * number;
    }
    const auto count = static_cast<double>(numbers.size());
    const double deviation = std::sqrt(square / count - sum / count * (sum / count));
    const bool norm = name.find("ln_") != std::string::npos;
    if (norm || name.ends_with("bias")) {
      CHECK(deviation == 0);
      CHECK(sum / count == (norm && name.ends_with("weight") ? 1 : 0));
    } else {
      // 4,096 numbers at least: their deviation is known to 1.1 %, their mean to 0.0003.
      const double expected = name.ends_with("c_proj.weight") ? 0.01 : 0.02;
      CHECK(std::abs(deviation - expected) < 0.05 * expected);
      CHECK(std::abs(sum / count) < 0.1 * expected);
    }
  }
}

// Goal: no place sees a later one. Method: each token in turn becomes another; the scores before
// it keep their bits, and those from it on do not.
TEST_CASE("a later token changes no earlier scores", "[nn]") {
  test::Engine engine;
  const nn::GPT model(small());
  constexpr std::int64_t places = 5;
  std::vector<std::int64_t> tokens{3, 1, 4, 1, 5};
  const auto before = model(tokens_of(tokens, {1, places})).to_vector<float>();
  for (std::size_t changed = 0; changed < places; ++changed) {
    std::vector<std::int64_t> other = tokens;
    other[changed] = 6;
    const auto after = model(tokens_of(other, {1, places})).to_vector<float>();
    for (std::size_t place = 0; place < places; ++place) {
      CAPTURE(changed, place);
      const bool same = std::equal(
          before.begin() + static_cast<std::ptrdiff_t>(7 * place),
          before.begin() + static_cast<std::ptrdiff_t>(7 * place + 7),
          after.begin() + static_cast<std::ptrdiff_t>(7 * place));
      CHECK(same == (place < changed));
    }
  }
}

TEST_CASE("a tied head's gradient and the embedding's are summed", "[nn]") {
  test::Engine engine;
  const nn::GPT tied(small());
  const nn::GPT untied(small(false));
  nn::StateDict state = tied.state_dict();
  state.emplace_back("lm_head.weight", tied.parameter("wte.weight").tensor().detach());
  untied.load_state_dict(state);
  const Tensor tokens = tokens_of({3, 1, 4, 1, 5, 2, 6, 5, 3, 5}, {2, 5});
  const Tensor next = tokens_of({1, 4, 1, 5, 2, 6, 5, 3, 5, 0}, {2, 5});
  for (const nn::GPT& model : {tied, untied}) {
    const Tensor scores = model(tokens);
    backward(cross_entropy(reshape(scores, {-1, 7}), reshape(next, {-1})));
  }
  const auto sum = tied.parameter("wte.weight").grad().to_vector<float>();
  const auto looked_up = untied.parameter("wte.weight").grad().to_vector<float>();
  const auto scored = untied.parameter("lm_head.weight").grad().to_vector<float>();
  for (std::size_t i = 0; i < sum.size(); ++i) {
    CHECK(sum[i] == looked_up[i] + scored[i]);
    CHECK(scored[i] != 0);
  }
}

TEST_CASE("a GPT that cannot be, or tokens that do not fit, are refused at the call", "[nn]") {
  test::Engine engine;
  const auto with = [](std::int64_t nn::GPTOptions::*size, std::int64_t value) {
    nn::GPTOptions options = small();
    options.*size = value;
    return options;
  };
  CHECK_THROWS_AS(nn::GPT(with(&nn::GPTOptions::num_heads, 3)), Error);
  for (const auto size :
       {&nn::GPTOptions::vocab_size,
        &nn::GPTOptions::context_length,
        &nn::GPTOptions::num_layers,
        &nn::GPTOptions::embed_dim,
        &nn::GPTOptions::num_heads,
        &nn::GPTOptions::mlp_ratio})
    CHECK_THROWS_AS(nn::GPT(with(size, 0)), Error);

  const nn::GPT model(small());
  const auto code = [&](const Tensor& tokens) {
    try {
      (void)model(tokens).to_vector<float>();
    } catch (const Error& error) {
      CHECK(error.file().ends_with("gpt_test.cpp"));
      return error.code();
    }
    return ErrorCode::internal;
  };
  CHECK(code(tokens_of({1, 2, 3, 4, 5, 6}, {1, 6})) == ErrorCode::shape_mismatch);
  CHECK(code(tokens_of({1, 2, 3}, {3})) == ErrorCode::shape_mismatch);
  CHECK(code(tokens_of({1, 7}, {1, 2})) == ErrorCode::invalid_argument);
}
