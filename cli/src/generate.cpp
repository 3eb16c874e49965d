#include "generate.hpp"

#include "saved_model.hpp"
#include "session.hpp"
#include "terminal_text.hpp"

#include <troupe/nn/generate.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

int generate(const GenerateOptions& options, Console& console) {
  Session session(options.machine, console);
  Scope scope(session.system(), session.device());
  const SavedModel saved = load_model(session.system().disk(), options.run);
  if (kind_of(saved.facts) != DataKind::text)
    throw Error(
        ErrorCode::invalid_argument,
        options.run + " is no language model: its " + saved.config.model + " takes " +
            described(saved.facts))
        .hint("train one with --data text:FILE; 'troupe predict' shows what this one sees");
  const Autocast products(saved.config.product_dtype());
  scope.seed(static_cast<std::uint64_t>(options.seed));

  std::vector<std::int64_t> prompt;
  for (const char byte : options.prompt) prompt.push_back(static_cast<unsigned char>(byte));
  if (prompt.empty()) prompt.push_back('\n');  // what a text begins after
  TerminalText text;
  const auto print = [&](const std::string& characters) {
    if (!characters.empty()) console.print(characters);
  };
  print(text.add(options.prompt));
  nn::generate(
      saved.model,
      saved.config.context,
      prompt,
      {.max_new_tokens = options.tokens,
       .temperature = options.temperature,
       .top_k = options.top_k},
      [&](std::int64_t token) {
        print(text.add(static_cast<std::byte>(token)));
        return true;
      });
  print(text.finish() + "\n");
  return 0;
}

}  // namespace troupe::cli
