#include "saved_model.hpp"

#include "models.hpp"

#include <troupe/nn/state_dict.hpp>

#include <numeric>

namespace troupe::cli {

SavedModel load_model(Disk& disk, const std::string& folder) {
  const RunFolder run(disk, folder);
  RunConfig config;
  DataFacts facts;
  run.read_config(config, facts);
  const nn::StateDict weights = nn::load(disk, run.model_path()).value();
  const std::int64_t found =
      std::accumulate(weights.begin(), weights.end(), std::int64_t{0}, [](auto sum, auto& entry) {
        return sum + entry.second.elements();
      });
  try {
    // Counted before it is made: what config.json says may be far larger than what there is.
    const std::int64_t needed = parameter_count(config, facts);
    if (needed != found)
      throw Error(
          ErrorCode::file_mismatch,
          "holds " + std::to_string(found) + " numbers for " + std::to_string(needed) +
              " parameters");
    nn::AnyModule model = make_model(config, facts);
    model.load_state_dict(weights);
    model.eval();
    return {config, facts, model};
  } catch (const Error& error) {
    throw Error(ErrorCode::file_mismatch, run.model_path() + ": " + error.message())
        .hint("config.json says " + config.model + "; the weights are of another model");
  }
}

}  // namespace troupe::cli
