#include "replica.hpp"

#include "open_data.hpp"

#include <troupe/io/checkpoint.hpp>

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace troupe::cli {

io::Tree Replica::describe(const RunConfig& config, const Dataset& dataset) {
  io::Tree tree = config.tree();
  put_facts(tree, facts_of(dataset));
  tree["contents"] = contents_of(dataset);
  return tree;
}

Replica::Replica(Parts parts) : parts_(std::move(parts)), facts_(facts_of(*parts_.dataset)) {
  trainer_ = std::make_unique<nn::Trainer>(parts_.task, parts_.options);
}

bool Replica::train(const cluster::View& view) {
  // Where another has brought the run; or where this one stands, in a trainer of other shards.
  io::Archive archive;
  if (view.state.size() > 0) {
    const auto bytes = view.state.span();
    archive = io::decode_archive(
                  std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end()),
                  "the leader's state")
                  .value();
  } else {
    archive = trainer_->archive();
  }
  std::stop_source either;
  const std::stop_callback changed(view.stop, [&] { either.request_stop(); });
  const std::stop_callback asked(parts_.stop, [&] { either.request_stop(); });
  nn::TrainerOptions options = parts_.options;
  options.shards = view.shards;
  options.shard_sum = view.shard_sum;
  options.stop = either.get_token();
  auto trainer = std::make_unique<nn::Trainer>(parts_.task, std::move(options));
  const std::vector<nn::EpochMetrics> known = trainer_->metrics();
  trainer->restore(archive);
  trainer_ = std::move(trainer);

  const auto loader = [&](Part part) {
    data::LoaderOptions how = loader_options(parts_.config, part == Part::train);
    if (part == Part::train) how.shards = view.shards;
    return make_loader(*parts_.device, *parts_.dataset, part, facts_, parts_.config.context, how);
  };
  data::Loader train = loader(Part::train);
  if (!parts_.tests) return trainer_->fit(train);
  data::Loader test = loader(Part::test);
  if (view.state.size() > 0) complete(archive, known, test);
  return trainer_->fit(train, &test);
}

void Replica::complete(
    io::Archive& archive, const std::vector<nn::EpochMetrics>& known, data::Loader& test) {
  io::Tree::List lines;
  bool tested = false;
  for (nn::EpochMetrics line : trainer_->metrics()) {
    const auto at = static_cast<std::size_t>(line.epoch - 1);
    if (std::isnan(line.test_loss) && at < known.size()) {
      line = known[at];
    } else if (std::isnan(line.test_loss) && line.step == trainer_->step()) {
      const nn::Evaluation found = trainer_->evaluate(test);
      line.test_loss = found.loss;
      line.test_accuracy = found.accuracy;
      tested = true;
    }
    lines.push_back(line.tree());
  }
  archive.meta["metrics"] = std::move(lines);
  trainer_->restore(archive);
  if (!tested) return;
  for (const auto& callback : parts_.options.callbacks)
    callback->on_epoch_end(*trainer_, trainer_->metrics().back());
}

Bytes Replica::state() {
  const auto owner =
      std::make_shared<const std::vector<std::byte>>(io::encode_archive(trainer_->archive()));
  return Bytes(*owner, owner);
}

}  // namespace troupe::cli
