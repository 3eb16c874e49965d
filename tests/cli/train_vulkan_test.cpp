#include "support/vulkan.hpp"
#include "training.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <cstdlib>

// Drives the real program on a Vulkan device: what is tested is what a person gets.
namespace troupe::cli::test {
namespace {

/// Sets a variable of the environment while it lives: the program under test sees it.
class Variable {
 public:
  Variable(const char* name, const std::string& value)
      : name_(name), before_(troupe::test::environment(name)) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::setenv(name_, before_.c_str(), 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;
};

Words on_device() { return {"--device", troupe::test::environment("TROUPE_TEST_DEVICE")}; }

}  // namespace

// Goal: a GPU trains what the CPU trains, to an accuracy as near as seeds are to each other, on
// real images.
TEST_CASE("a part of Fashion-MNIST is learnt on the GPU as on the CPU", "[cli][vulkan]") {
  const Fixture troupe;
  const Words common = {
      "train",
      "--data",
      "fashion-mnist",
      "--model",
      "cnn",
      "--epochs",
      "1",
      "--limit",
      "2048",
      "--seed",
      "7",
      "--threads",
      "2"};
  const Ended on_gpu = troupe(common + on_device() + Words{"--out", "gpu"});
  CAPTURE(on_gpu.err);
  REQUIRE(on_gpu.code == 0);
  REQUIRE(troupe(common + Words{"--out", "cpu"}).code == 0);
  const auto gpu = troupe.metrics("gpu").at(0);
  const auto cpu = troupe.metrics("cpu").at(0);
  CHECK(gpu.at("test_accuracy").as_double() > 0.5);
  CHECK(std::abs(gpu.at("test_accuracy").as_double() - cpu.at("test_accuracy").as_double()) < 0.02);
  CHECK(std::abs(gpu.at("train_loss").as_double() - cpu.at("train_loss").as_double()) < 0.02);
  const io::Tree config =
      io::parse_json(read_file(troupe.folder / "gpu/config.json"), "config").value();
  CHECK(config.at("model").as_string() == "cnn");
}

// Goal: on one driver bits depend on the config alone: not on the door, on the driver's threads, on
// ours, or on barriers that a dispatch would not need.
TEST_CASE("the GPU gives the same bits however it is driven", "[cli][vulkan]") {
  const Fixture troupe;
  const auto variant = GENERATE(
      Words{"--model", "mlp", "--optimizer", "adamw"},
      Words{"--model", "cnn", "--optimizer", "sgd", "--momentum", "0.9", "--clip", "1"});
  const Words common = small_run + variant + Words{"--epochs", "1", "--limit", "200"} + on_device();
  const Ended first = troupe(common + Words{"--threads", "1", "--out", "first"});
  CAPTURE(variant, first.err);
  REQUIRE(first.code == 0);
  const std::string expected = troupe.bits("first");
  int number = 0;
  for (const std::string door : {"program", "define-by-run"})
    for (const std::string workers : {"0", "1", "2"})
      for (const std::string how : {"", "paranoid", "descriptors"}) {
        if (how == "descriptors" && workers != "2") continue;
        CAPTURE(door, workers, how);
        const Variable driver_threads("LP_NUM_THREADS", workers);
        const Variable debug("TROUPE_VULKAN_DEBUG", how);
        const std::string out = "run" + std::to_string(++number);
        const Ended ended = troupe(common + Words{"--threads", "2", "--door", door, "--out", out});
        CAPTURE(ended.err);
        REQUIRE(ended.code == 0);
        CHECK(troupe.bits(out) == expected);
      }
}

TEST_CASE("a run on the GPU goes on from its checkpoint with the same bits", "[cli][vulkan]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--limit", "200"} + on_device();
  REQUIRE(troupe(common + Words{"--epochs", "2", "--out", "whole"}).code == 0);
  REQUIRE(troupe(common + Words{"--epochs", "1", "--out", "parts"}).code == 0);
  const Ended resumed = troupe(Words{"train", "--resume", "parts", "--epochs", "2"} + on_device());
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(troupe.bits("parts") == troupe.bits("whole"));
}

TEST_CASE(
    "a device, a driver or a loader that is not there is told in one block", "[cli][vulkan]") {
  const Fixture troupe;
  const Words common =
      small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "64", "--out", "a"};
  check_error(
      troupe(common + Words{"--device", "vulkan:7"}),
      1,
      "there is no device \"vulkan:7\"",
      "there are: vulkan:0");
  const Variable none("VK_DRIVER_FILES", troupe.folder / "none.json");
  check_error(
      troupe(common + Words{"--device", "vulkan:0"}), 1, "Vulkan", "use the device \"cpu\"");
  // The same program trains where no Vulkan is.
  const Ended on_cpu = troupe(common + Words{"--device", "auto"});
  CAPTURE(on_cpu.err);
  CHECK(on_cpu.code == 0);
}

TEST_CASE("what a GPU does not offer is refused before anything is written", "[cli][vulkan]") {
  const Fixture troupe;
  check_error(
      troupe(
          small_run +
          Words{"--model", "mlp", "--epochs", "1", "--limit", "64", "--watch-nan", "--out", "a"} +
          on_device()),
      1,
      "--watch-nan",
      "--device cpu");
}

}  // namespace troupe::cli::test
