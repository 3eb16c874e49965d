#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/embedding.hpp>
#include <troupe/nn/generate.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace troupe::nn {
namespace {

using Tokens = std::vector<std::int64_t>;

/// Scores by the last token alone: row t holds those of what follows t. Notes what it was asked.
struct Table : Layer<Table> {
  Table(std::int64_t tokens, const std::vector<float>& scores)
      : Layer("Table"), rows(register_module("rows", Embedding(tokens, tokens))) {
    Parameter weight = rows.weight();
    weight.set(Tensor::copy_of<float>(scores, {tokens, tokens}));
  }
  Tensor forward(const Operand& tokens) const {
    asked->push_back(tokens.tensor().to_vector<std::int64_t>());
    return rows(tokens);
  }

  Embedding rows;
  std::shared_ptr<std::vector<Tokens>> asked = std::make_shared<std::vector<Tokens>>();
};

Tokens generated(
    const AnyModule& model, const Tokens& prompt, const GenerateOptions& options, int context = 8) {
  Tokens made;
  generate(model, context, prompt, options, [&](std::int64_t token) {
    made.push_back(token);
    return true;
  });
  return made;
}

/// 0 → 1 → 2 → 0, mostly.
Table circle() { return Table(3, {0, 2, 1, 1, 0, 2, 2, 1, 0}); }

}  // namespace

TEST_CASE("at temperature 0 the likeliest token follows, the lower of equal ones", "[nn]") {
  test::Engine engine;
  const Table model = circle();
  const Table even(2, {3, 3, 3, 3});
  const std::uint64_t calls = engine.scope.random().calls;
  CHECK(generated(model, {0}, {.max_new_tokens = 5, .temperature = 0}) == Tokens{1, 2, 0, 1, 2});
  CHECK(generated(even, {1}, {.max_new_tokens = 2, .temperature = 0}) == Tokens{0, 0});
  CHECK(engine.scope.random().calls == calls);  // nothing was drawn
}

TEST_CASE("tokens come as often as their scores say", "[nn]") {
  test::Engine engine;
  engine.scope.seed(7);
  const Table model(3, {0, 1, 3, 0, 1, 3, 0, 1, 3});
  constexpr std::int64_t count = 4000;
  const auto check = [&](const GenerateOptions& options, const std::vector<double>& scores) {
    double total = 0;
    for (const double score : scores) total += std::exp(score);
    std::vector<double> seen(3, 0);
    for (const std::int64_t token : generated(model, {0}, options))
      ++seen[static_cast<std::size_t>(token)];
    for (std::size_t token = 0; token < 3; ++token) {
      const double share = std::exp(scores[token]) / total;
      CAPTURE(options.temperature, options.top_k, token, seen[token] / count, share);
      // Five deviations of a share that is drawn 4,000 times.
      CHECK(std::abs(seen[token] / count - share) <= 5 * std::sqrt(share * (1 - share) / count));
    }
  };
  constexpr double never = -std::numeric_limits<double>::infinity();
  check({.max_new_tokens = count}, {0, 1, 3});
  check({.max_new_tokens = count, .temperature = 2}, {0, 0.5, 1.5});
  check({.max_new_tokens = count, .top_k = 2}, {never, 1, 3});
  check({.max_new_tokens = count, .top_k = 3}, {0, 1, 3});
  check({.max_new_tokens = count, .top_k = 1}, {never, never, 0});
  check({.max_new_tokens = count, .temperature = 1e-300}, {never, never, 0});
}

TEST_CASE("the same seed gives the same text, another seed another", "[nn]") {
  test::Engine engine;
  const Table model = circle();
  const auto text = [&](std::uint64_t seed) {
    engine.scope.seed(seed);
    return generated(model, {0}, {.max_new_tokens = 50});
  };
  CHECK(text(1) == text(1));
  CHECK(text(1) != text(2));
}

TEST_CASE("the model sees the last tokens, no more than its context", "[nn]") {
  test::Engine engine;
  const Table model = circle();
  (void)generated(model, {0, 1, 2, 2, 0}, {.max_new_tokens = 3, .temperature = 0}, 3);
  CHECK(*model.asked == std::vector<Tokens>{{2, 2, 0}, {2, 0, 1}, {0, 1, 2}});
  model.asked->clear();
  (void)generated(model, {0}, {.max_new_tokens = 4, .temperature = 0}, 3);
  CHECK(*model.asked == std::vector<Tokens>{{0}, {0, 1}, {0, 1, 2}, {1, 2, 0}});
}

TEST_CASE("a text ends where it is told to", "[nn]") {
  test::Engine engine;
  const Table model = circle();
  Tokens made;
  generate(model, 8, Tokens{0}, {.temperature = 0}, [&](std::int64_t token) {
    made.push_back(token);
    return token != 2;
  });
  CHECK(made == Tokens{1, 2});
  CHECK(generated(model, {0}, {.max_new_tokens = 0}).empty());
}

TEST_CASE("what cannot be generated is refused", "[nn]") {
  test::Engine engine;
  const auto code = [](const AnyModule& model,
                       const Tokens& prompt,
                       const GenerateOptions& options,
                       int context = 8) {
    try {
      (void)generated(model, prompt, options, context);
    } catch (const Error& error) {
      CHECK_FALSE(error.hint().empty());
      return error.code();
    }
    return ErrorCode::internal;
  };
  const Table model = circle();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(code(model, {}, {}) == ErrorCode::invalid_argument);
  CHECK(code(model, {0}, {}, 0) == ErrorCode::invalid_argument);
  CHECK(code(model, {0}, {.max_new_tokens = -1}) == ErrorCode::invalid_argument);
  CHECK(code(model, {0}, {.temperature = -0.1}) == ErrorCode::invalid_argument);
  CHECK(code(model, {0}, {.temperature = nan}) == ErrorCode::invalid_argument);
  CHECK(code(model, {0}, {.top_k = -1}) == ErrorCode::invalid_argument);
  CHECK(code(Table(1, {static_cast<float>(nan)}), {0}, {}) == ErrorCode::nan_found);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(code(Table(1, {infinity}), {0}, {.temperature = 0}) == ErrorCode::nan_found);
}

}  // namespace troupe::nn
