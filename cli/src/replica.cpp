#include "replica.hpp"

#include "open_data.hpp"

#include <troupe/io/checkpoint.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace troupe::cli {

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
  return trainer_->fit(train, &test);
}

Bytes Replica::state() {
  const auto owner =
      std::make_shared<const std::vector<std::byte>>(io::encode_archive(trainer_->archive()));
  return Bytes(*owner, owner);
}

}  // namespace troupe::cli
