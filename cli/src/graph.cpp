#include "graph.hpp"

#include "graph_picture.hpp"
#include "models.hpp"
#include "run_folder.hpp"
#include "session.hpp"

#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/disk.hpp>
#include <troupe/nn/trainer.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstdio>
#include <memory>
#include <span>
#include <string>

namespace troupe::cli {

namespace {

/// What a model is made for where no run says it: images like Fashion-MNIST's, or any text.
DataFacts usual_facts(const RunConfig& config) {
  if (config.model == "gpt") return TextFacts{};
  ImageFacts facts;
  facts.image = {1, 28, 28};
  facts.class_names.resize(10);
  return facts;
}

/// Dtypes and shapes of a batch: inputs, then labels.
std::vector<Meta> batch_of(const RunConfig& config, const DataFacts& facts) {
  const auto* const images = std::get_if<ImageFacts>(&facts);
  if (!images) {
    const Meta bytes{DType::int64, {config.batch_size, config.context}};
    return {bytes, bytes};
  }
  Shape shape{config.batch_size};
  for (const std::int64_t size : images->image) shape.push_back(size);
  return {{DType::float32, shape}, {DType::int64, {config.batch_size}}};
}

std::string mebibytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1024 * 1024));
  return text;
}

}  // namespace

int graph(const GraphOptions& options, Console& console) {
  Session session(options.machine, console);
  const Scope scope(session.system(), session.device());
  Disk& disk = session.system().disk();
  RunConfig config = options.config;
  DataFacts facts;
  if (options.run.empty()) {
    // No data are read: only what kind they would be is asked about.
    if (config.model == "gpt") config.data = text_prefix;
    if (const std::string fault = config.fault(); !fault.empty())
      throw Error(ErrorCode::invalid_argument, fault);
    facts = usual_facts(config);
  } else {
    RunFolder(disk, options.run).read_config(config, facts);
  }
  const Passes passes =
      options.after.empty() ? chosen_passes() : Passes::until(pass_named(options.after));
  nn::Trainer trainer(
      make_task(config, facts, 1),
      {.gradient_clip_val = config.clip,
       .shards = {.of = config.shards},
       .precision = config.product_dtype(),
       .program = {.passes = passes}});
  const std::vector<Meta> batch = batch_of(config, facts);
  const Program program =
      options.eval ? trainer.capture_test_step(batch) : trainer.capture_training_step(batch);

  const std::string what = config.model + ", a step of " + (options.eval ? "testing" : "training") +
                           " on " + to_string(batch[0]) + ", passes: " + passes.to_string();
  if (options.svg.empty()) {
    console.print(program.to_string());
  } else {
    const std::string picture = picture_of(program.graph(), what);
    const std::unique_ptr<DiskFile> file = disk.create(options.svg).value();
    file->append(std::as_bytes(std::span(picture.data(), picture.size()))).value();
    file->sync().value();
  }
  console.say(
      what + ": " + std::to_string(program.op_count()) + " ops, which compute in " +
      mebibytes(program.peak_bytes()) + (options.svg.empty() ? "" : ", drawn in " + options.svg));
  return 0;
}

}  // namespace troupe::cli
