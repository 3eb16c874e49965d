#include "eval.hpp"

#include "open_data.hpp"
#include "saved_model.hpp"
#include "session.hpp"

#include <troupe/data/loader.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/scope.hpp>

namespace troupe::cli {

int eval(const EvalOptions& options, Console& console) {
  Session session(options.machine, console);
  const Scope scope(session.system(), session.device());
  const SavedModel saved = load_model(session.system().disk(), options.run);
  const std::string spec = options.data.empty() ? saved.config.data : options.data;
  const data::ImageDataset dataset = open_data(session.system().disk(), spec, console);
  const DataFacts facts = DataFacts::of(dataset);
  if (!(facts.image == saved.facts.image))
    throw Error(
        ErrorCode::shape_mismatch,
        "the model takes images " + to_string(saved.facts.image) + ", " + spec + " has " +
            to_string(facts.image))
        .hint("evaluate it on images like those it was trained on: " + saved.config.data);

  // Normalized as in training, whatever the mean of these images is.
  data::Loader loader(
      session.device(),
      dataset.test,
      saved.facts.mean,
      saved.facts.deviation,
      {.batch_size = options.batch_size, .shuffle = false, .samples_max = options.limit});
  nn::Trainer trainer({saved.model, optim::SGD(saved.model.parameters())});
  const nn::Evaluation found = trainer.evaluate(loader);
  console.print(
      io::to_json(io::Tree::Map{
          {"loss", found.loss}, {"accuracy", found.accuracy}, {"samples", found.samples}}) +
      "\n");
  return 0;
}

}  // namespace troupe::cli
