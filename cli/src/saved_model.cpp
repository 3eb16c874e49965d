#include "saved_model.hpp"

#include "models.hpp"

#include <troupe/nn/state_dict.hpp>

namespace troupe::cli {

SavedModel load_model(Disk& disk, const std::string& folder) {
  const RunFolder run(disk, folder);
  RunConfig config;
  DataFacts facts;
  run.read_config(config, facts);
  nn::AnyModule model =
      make_model(config.model, facts.image, static_cast<std::int64_t>(facts.class_names.size()));
  const nn::StateDict weights = nn::load(disk, run.model_path()).value();
  try {
    model.load_state_dict(weights);
  } catch (const Error& error) {
    throw Error(error.code(), run.model_path() + ": " + error.message())
        .hint("config.json says " + config.model + "; the weights are of another model");
  }
  model.eval();
  return {config, facts, model};
}

}  // namespace troupe::cli
