#pragma once

#include <troupe/nn/any_module.hpp>

#include <cstdint>
#include <functional>
#include <span>

namespace troupe::nn {

struct GenerateOptions {
  std::int64_t max_new_tokens = 200;
  double temperature = 1;  ///< scores are divided by it; 0: always the likeliest token
  std::int64_t top_k = 0;  ///< only the k likeliest tokens; 0: all
};

/// Has a language model go on with a prompt, one token after another, each drawn by the scores that
/// the model gives for it. Of what there is already, the model sees the last `context` tokens.
///
///     nn::generate(model, 128, prompt, {.temperature = 0.8, .top_k = 40}, [&](std::int64_t token)
///     {
///       std::putchar(static_cast<int>(token));
///       return true;
///     });
///
/// @param model    tokens int64 [1, T] → scores float32 [1, T, vocabulary], such as `GPT`; called
/// as
///                 it stands, so `eval()` it first
/// @param context  the most tokens that the model takes
/// @param each     is given each token as it is made; false ends the text there
///
/// Random   one call of the scope's random state for each token, none at temperature 0: the same
///          seed gives the same text.
/// Ties     the lower token comes first.
/// Errors   `invalid_argument` for an empty prompt and numbers out of range; `nan_found` when the
///          scores are no finite numbers; what the model throws.
void generate(
    const AnyModule& model,
    std::int64_t context,
    std::span<const std::int64_t> prompt,
    const GenerateOptions& options,
    const std::function<bool(std::int64_t token)>& each);

}  // namespace troupe::nn
