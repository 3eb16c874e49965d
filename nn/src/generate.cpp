#include "draws.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/generate.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/slice.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace troupe::nn {

namespace {

void check(bool good, const char* message, const char* hint) {
  if (!good) throw Error(ErrorCode::invalid_argument, message).hint(hint);
}

/// What the model thinks of each token coming next.
std::vector<float> next_scores(const AnyModule& model, std::span<const std::int64_t> seen) {
  const auto places = static_cast<std::int64_t>(seen.size());
  const Tensor scores = model(Tensor::copy_of(seen, {1, places}));
  return flatten(narrow(scores, 1, places - 1, 1)).to_vector<float>();
}

std::int64_t choose(const std::vector<float>& scores, const GenerateOptions& options) {
  if (!std::all_of(scores.begin(), scores.end(), [](float x) { return std::isfinite(x); }))
    throw Error(ErrorCode::nan_found, "the model's scores are no finite numbers")
        .hint("its weights are spoiled: train it with a lower learning rate");
  if (options.temperature == 0)
    return std::max_element(scores.begin(), scores.end()) - scores.begin();

  std::vector<std::size_t> tokens(scores.size());
  std::iota(tokens.begin(), tokens.end(), std::size_t{0});
  std::stable_sort(tokens.begin(), tokens.end(), [&](std::size_t a, std::size_t b) {
    return scores[a] > scores[b];
  });
  if (options.top_k > 0 && static_cast<std::size_t>(options.top_k) < tokens.size())
    tokens.resize(static_cast<std::size_t>(options.top_k));
  const double highest = scores[tokens.front()];
  double total = 0;
  std::vector<double> up_to;  // the chances of the tokens so far, together
  for (const std::size_t token : tokens)
    up_to.push_back(total += std::exp((scores[token] - highest) / options.temperature));
  const double drawn = Draws(Scope::current().random()).uniform() * total;
  const auto place = std::upper_bound(up_to.begin(), up_to.end() - 1, drawn) - up_to.begin();
  return static_cast<std::int64_t>(tokens[static_cast<std::size_t>(place)]);
}

}  // namespace

void generate(
    const AnyModule& model,
    std::int64_t context,
    std::span<const std::int64_t> prompt,
    const GenerateOptions& options,
    const std::function<bool(std::int64_t token)>& each) {
  check(context > 0, "the context is below 1", "give the most tokens that the model takes");
  check(!prompt.empty(), "the prompt has no tokens", "begin with one that ends a line, say");
  check(options.max_new_tokens >= 0, "max_new_tokens is negative", "200, say");
  check(options.top_k >= 0, "top_k is negative", "0: all tokens");
  check(
      options.temperature >= 0 && std::isfinite(options.temperature),
      "the temperature is negative or no number",
      "0: always the likeliest token; 1: as the model has it");
  const NoGrad no_grad;
  const auto most = static_cast<std::size_t>(context);
  std::vector<std::int64_t> seen(
      prompt.end() - static_cast<std::ptrdiff_t>(std::min(most, prompt.size())), prompt.end());
  for (std::int64_t i = 0; i < options.max_new_tokens; ++i) {
    const std::int64_t token = choose(next_scores(model, seen), options);
    if (!each(token)) return;
    if (seen.size() == most) seen.erase(seen.begin());
    seen.push_back(token);
  }
}

}  // namespace troupe::nn
