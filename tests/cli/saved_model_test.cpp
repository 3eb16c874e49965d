#include "saved_model.hpp"

#include "models.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/nn/state_dict.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cli {

TEST_CASE("a saved model is loaded with its weights, in eval mode", "[cli]") {
  System system;
  Device& device = cpu::attach(system);
  const Scope scope(system, device);
  sim::MemoryDisk disk;
  RunConfig config;
  config.model = "mlp";
  const ImageFacts facts{
      .image = {1, 4, 4},
      .train_count = 1,
      .test_count = 1,
      .mean = {0},
      .deviation = {1},
      .class_names = {"a", "b", "c"}};
  RunFolder(disk, "a").write_config(config, facts);
  const nn::AnyModule model = make_model(config, facts);
  nn::save(disk, "a/model.safetensors", model.state_dict()).value();

  const SavedModel loaded = load_model(disk, "a");
  CHECK_FALSE(loaded.model.training());
  CHECK(std::get<ImageFacts>(loaded.facts).class_names == facts.class_names);
  const auto before = model.parameters();
  const auto after = loaded.model.parameters();
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i)
    CHECK(after[i].tensor().to_vector<float>() == before[i].tensor().to_vector<float>());

  const auto fails = [&] {
    try {
      (void)load_model(disk, "a");
      FAIL("was loaded");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::file_mismatch);
      CHECK(error.message().starts_with("a/model.safetensors: "));
    }
  };
  ImageFacts other = facts;
  other.image = {1, 5, 5};
  nn::save(disk, "a/model.safetensors", make_model(config, other).state_dict()).value();
  fails();

  // Weights of the config's model, with data that it is not for.
  nn::save(disk, "a/model.safetensors", model.state_dict()).value();
  RunFolder(disk, "a").write_config(config, TextFacts{.bytes = 1000});
  fails();

  // A config that asks for far more than the weights' file holds takes no memory for it.
  nn::save(disk, "a/model.safetensors", model.state_dict()).value();
  ImageFacts large = facts;
  large.image = {1, 1000, 2000};  // 4 GB of weights
  RunFolder(disk, "a").write_config(config, large);
  const std::size_t peak = cpu::memory(device).peak_bytes;
  fails();
  // The weights of the file, 1 MB, and not 4 GB more.
  CHECK(cpu::memory(device).peak_bytes - peak < std::size_t{4} << 20);
}

}  // namespace troupe::cli
