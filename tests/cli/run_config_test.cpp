#include "run_config.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

namespace troupe::cli {
namespace {

/// What is wrong with a config's tree once a field has this value.
std::string fault_of(const RunConfig& config, const char* name, const io::Tree& value) {
  io::Tree tree = config.tree();
  tree[name] = value;
  try {
    (void)RunConfig::from(tree);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::file_mismatch);
    return error.message();
  }
  return "was accepted";
}

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

TEST_CASE("a config from before there was a precision is one of float32", "[cli]") {
  RunConfig config;
  config.precision = "bf16";
  CHECK(config.product_dtype() == DType::bfloat16);
  CHECK(RunConfig::from(config.tree()).product_dtype() == DType::bfloat16);
  const io::Tree whole = config.tree();
  io::Tree before;
  for (const auto& [name, value] : whole.as_map())
    if (name != "precision") before[name] = value;
  CHECK(RunConfig::from(before).product_dtype() == DType::float32);
  CHECK_FALSE(RunConfig::may_change("precision"));
}

TEST_CASE("a config from before there were shards has one", "[cli]") {
  RunConfig config;
  config.shards = 4;
  CHECK(RunConfig::from(config.tree()).shards == 4);
  const io::Tree whole = config.tree();
  io::Tree before;
  for (const auto& [name, value] : whole.as_map())
    if (name != "shards") before[name] = value;
  CHECK(RunConfig::from(before).shards == 1);
  CHECK_FALSE(RunConfig::may_change("shards"));
}

TEST_CASE("a config with a value that the command line refuses is refused", "[cli]") {
  const auto fault = [](const char* name, const io::Tree& value) {
    return fault_of(RunConfig(), name, value);
  };
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  CHECK(fault("accumulate", 0) == "'accumulate': 0 is below 1");
  CHECK(fault("accumulate", most).starts_with("'accumulate': "));
  CHECK(fault("epochs", most).starts_with("'epochs': "));
  CHECK(fault("epochs", 0).starts_with("'epochs': "));
  CHECK(fault("batch_size", -1).starts_with("'batch_size': "));
  CHECK(fault("shards", 0) == "'shards': 0 is below 1");
  CHECK(fault("shards", 129).starts_with("a batch of 128 cannot be cut into 129 shards"));
  CHECK(fault("lr", "NaN") == "'lr': NaN is no number");
  CHECK(fault("lr", "Infinity").starts_with("'lr': "));
  CHECK(fault("momentum", 1.5) == "'momentum': 1.5 is above 1");
  CHECK(fault("weight_decay", -0.5).starts_with("'weight_decay': "));
  CHECK(fault("clip", -1).starts_with("'clip': "));
  CHECK(fault("seed", -1).starts_with("'seed': "));
  CHECK(fault("limit", -1).starts_with("'limit': "));
  CHECK(fault("model", "resnet") == "'model': 'resnet' is not in {mlp,cnn,gpt}");
  CHECK(fault("optimizer", "lion") == "'optimizer': 'lion' is not in {sgd,adam,adamw}");
  CHECK(fault("precision", "fp16") == "'precision': 'fp16' is not in {float32,bf16}");
  CHECK(fault("schedule", "linear").starts_with("'schedule': 'linear' is not in {"));
  CHECK(fault("weight_decay", -1) == "was accepted");  // the optimizer's own
  CHECK(fault("momentum", 1) == "was accepted");
}

TEST_CASE("each model's config has its own fields", "[cli]") {
  RunConfig config;
  CHECK_FALSE(config.tree().find("layers"));
  CHECK(config.tree().find("augment"));
  config.model = "gpt";
  config.data = "text:book.txt";
  config.context = 32;
  config.layers = 3;
  config.width = 48;
  config.heads = 6;
  config.dropout = 0.25;
  config.tied = false;
  CHECK_FALSE(config.tree().find("augment"));
  const std::string json = io::to_json(config.tree());
  const RunConfig read = RunConfig::from(io::parse_json(json, "config.json").value());
  CHECK(read.tree() == config.tree());
  CHECK(read.context == 32);
  CHECK(read.layers == 3);
  CHECK(read.width == 48);
  CHECK(read.heads == 6);
  CHECK(read.dropout == 0.25);
  CHECK_FALSE(read.tied);
}

TEST_CASE("fields that do not fit each other are refused", "[cli]") {
  const auto fault = [](const char* name, const io::Tree& value) {
    RunConfig config;
    config.model = "gpt";
    config.data = "text:book.txt";
    return fault_of(config, name, value);
  };
  CHECK(fault("heads", 3) == "a width of 256 does not part into 3 heads");
  CHECK(fault("heads", 8) == "was accepted");
  CHECK(fault("heads", 0) == "'heads': 0 is below 1");
  CHECK(fault("width", 65'537) == "'width': 65537 is above 65536");
  CHECK(fault("context", 0) == "'context': 0 is below 1");
  CHECK(fault("layers", 0) == "'layers': 0 is below 1");
  CHECK(fault("dropout", 1.5) == "'dropout': 1.5 is above 1");
  CHECK(
      fault("data", "fashion-mnist") ==
      "the gpt is for text, and 'fashion-mnist' is none: use --data text:FILE");
  io::Tree images = RunConfig().tree();
  images["data"] = "text:book.txt";
  CHECK_THROWS_AS(RunConfig::from(images), Error);
}

TEST_CASE("a range tells itself as help texts do", "[cli]") {
  CHECK(RunConfig::range("epochs").text() == "AT LEAST 1");
  CHECK(RunConfig::range("momentum").text() == "0 TO 1");
  CHECK(RunConfig::range("optimizer").text() == "{sgd,adam,adamw}");
  CHECK(RunConfig::range("data").text().empty());
  CHECK(RunConfig::range("data").fault("anything").empty());
}

TEST_CASE("every field has a name, and few may change on resuming", "[cli]") {
  for (const std::string model : {"mlp", "cnn", "gpt"}) {
    RunConfig config;
    config.model = model;
    CHECK(
        std::count_if(
            RunConfig::names().begin(), RunConfig::names().end(), [&](const std::string& name) {
              return RunConfig::applies(name, model);
            }) == std::ssize(config.tree().as_map()));
  }
  CHECK(
      std::count_if(RunConfig::names().begin(), RunConfig::names().end(), RunConfig::may_change) ==
      1);
  CHECK(RunConfig::may_change("epochs"));
}

}  // namespace
}  // namespace troupe::cli
