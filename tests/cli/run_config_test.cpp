#include "run_config.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

namespace troupe::cli {
namespace {

TEST_CASE("a config survives its file", "[cli]") {
  RunConfig config;
  config.data = "idx:somewhere";
  config.lr = 0.1;
  config.seed = 1'234'567'890'123;
  config.augment = true;
  config.weight_decay = 1e-4;
  const std::string json = io::to_json(config.tree(), 2);
  const RunConfig read = RunConfig::from(io::parse_json(json, "config.json").value());
  CHECK(read.tree() == config.tree());
  CHECK(read.lr == 0.1);
  CHECK(read.seed == config.seed);
}

TEST_CASE("a config without one of its fields is refused, naming it", "[cli]") {
  const io::Tree whole = RunConfig().tree();
  io::Tree tree;
  for (const auto& [name, value] : whole.as_map())
    if (name != "momentum") tree[name] = value;
  try {
    (void)RunConfig::from(tree);
    FAIL("was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::file_mismatch);
    CHECK(error.message().find("momentum") != std::string::npos);
  }
}

TEST_CASE("every field has a name, and few may change on resuming", "[cli]") {
  CHECK(RunConfig::names().size() == RunConfig().tree().as_map().size());
  CHECK(
      std::count_if(RunConfig::names().begin(), RunConfig::names().end(), RunConfig::may_change) ==
      1);
  CHECK(RunConfig::may_change("epochs"));
}

}  // namespace
}  // namespace troupe::cli
