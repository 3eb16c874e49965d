#include "eval.hpp"

#include "open_data.hpp"
#include "saved_model.hpp"
#include "session.hpp"

#include <troupe/data/loader.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/scope.hpp>

namespace troupe::cli {

namespace {

/// Throws when the model cannot be asked about these data.
void check_usable(
    const DataFacts& model,
    const DataFacts& found,
    const std::string& spec,
    const std::string& trained_on) {
  const auto* wanted = std::get_if<ImageFacts>(&model);
  const auto* images = std::get_if<ImageFacts>(&found);
  const bool usable = wanted && images ? wanted->image == images->image : !wanted && !images;
  if (!usable)
    throw Error(
        ErrorCode::shape_mismatch,
        "the model takes " + (wanted ? described(model) : "text") + ", " + spec + " has " +
            (images ? to_string(images->image) : "text"))
        .hint("evaluate it on data like those it was trained on: " + trained_on);
}

}  // namespace

int eval(const EvalOptions& options, Console& console) {
  Session session(options.machine, console);
  const Scope scope(session.system(), session.device());
  const SavedModel saved = load_model(session.system().disk(), options.run);
  const std::string spec = options.data.empty() ? saved.config.data : options.data;
  const Dataset dataset = open_data(session.system().disk(), spec, saved.config.context, console);
  check_usable(saved.facts, facts_of(dataset), spec, saved.config.data);

  const DataKind kind = kind_of(saved.facts);
  data::LoaderOptions loader_options{
      .batch_size = options.batch_size, .shuffle = false, .samples_max = options.limit};
  if (options.batch_size == 0) loader_options.batch_size = kind == DataKind::text ? 32 : 256;
  data::Loader loader = make_loader(
      session.device(), dataset, Part::test, saved.facts, saved.config.context, loader_options);
  nn::Trainer trainer(
      {saved.model, optim::SGD(saved.model.parameters())},
      {.precision = saved.config.product_dtype()});
  const nn::Evaluation found = trainer.evaluate(loader);
  io::Tree::Map result{{"loss", found.loss}};
  if (kind == DataKind::text) {
    result.emplace_back("bits_per_byte", bits_per_byte(found.loss));
    result.emplace_back("bytes", found.samples);
  } else {
    result.emplace_back("accuracy", found.accuracy);
    result.emplace_back("samples", found.samples);
  }
  console.print(io::to_json(io::Tree(std::move(result))) + "\n");
  return 0;
}

}  // namespace troupe::cli
