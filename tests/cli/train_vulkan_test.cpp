#include "support/vulkan.hpp"
#include "training.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

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
// ours, on barriers that a dispatch would not need, or on what tuning found.
TEST_CASE("the GPU gives the same bits however it is driven", "[cli][vulkan]") {
  const Fixture troupe;
  const auto variant = GENERATE(
      Words{"--model", "mlp", "--optimizer", "adamw"},
      Words{"--model", "cnn", "--shards", "3"},
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
  // The first finds tiles and keeps them, the second begins with them.
  const Variable tuning("TROUPE_VULKAN_TUNING", "deterministic");
  const Variable cache("TROUPE_CACHE", troupe.folder / "cache");
  for (const std::string run : {"tuning", "tuned"}) {
    const Ended ended = troupe(common + Words{"--threads", "2", "--out", run});
    CAPTURE(run, ended.err);
    REQUIRE(ended.code == 0);
    CHECK(troupe.bits(run) == expected);
  }
  const auto kept = std::filesystem::directory_iterator(troupe.folder / "cache");
  CHECK(std::any_of(begin(kept), end(kept), [](const auto& file) {
    return file.path().extension() == ".tiles";
  }));
}

// Goal: the same of a language model, whose attention and embeddings no model of images has.
TEST_CASE("a language model is trained on the GPU as on the CPU", "[cli][vulkan]") {
  const TextFixture troupe;
  const std::string shards = GENERATE("1", "4");
  const Words common = text_run + Words{"--epochs", "1", "--dropout", "0.1", "--shards", shards};
  REQUIRE(troupe(common + Words{"--out", "cpu"}).code == 0);
  std::string expected;
  for (const std::string door : {"program", "define-by-run"})
    for (const std::string how : {"", "descriptors"}) {
      CAPTURE(door, how);
      const Variable debug("TROUPE_VULKAN_DEBUG", how);
      const std::string out = door + how;
      const Ended ended =
          troupe(common + on_device() + Words{"--threads", "2", "--door", door, "--out", out});
      CAPTURE(ended.err);
      REQUIRE(ended.code == 0);
      if (expected.empty()) expected = troupe.bits(out);
      CHECK(troupe.bits(out) == expected);
    }
  const auto gpu = troupe.metrics("program").at(0);
  const auto cpu = troupe.metrics("cpu").at(0);
  // The same numbers are drawn; rounding alone differs.
  for (const char* loss : {"train_loss", "test_loss"})
    CHECK(std::abs(gpu.at(loss).as_double() - cpu.at(loss).as_double()) < 1e-3);

  const Words on_with_it = {"generate", "program", "--prompt", "The ", "--tokens", "8"};
  const Ended made = troupe(on_with_it + on_device());
  CAPTURE(made.err);
  CHECK(made.code == 0);
  CHECK(made.out == troupe(on_with_it).out);
}

TEST_CASE("a way of tuning that does not exist is told with those that do", "[cli][vulkan]") {
  const Fixture troupe;
  const Variable tuning("TROUPE_VULKAN_TUNING", "fast");
  check_error(
      troupe(
          small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "64", "--out", "a"} +
          on_device()),
      1,
      "\"fast\" is no way to tune",
      "automatic, off, deterministic, free");
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

namespace {

/// The number behind some words of a text.
std::int64_t number_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  CAPTURE(text, words);
  REQUIRE(at != std::string::npos);
  CHECK(text.find(words, at + 1) == std::string::npos);
  return std::stoll(text.substr(at + words.size()));
}

/// 25 steps an epoch; the device is lost in one of the middle epochs.
const Words lost_run = small_run + Words{"--model", "mlp", "--limit", "200"};
constexpr std::int64_t lost_run_steps = 25;
constexpr const char* lost_run_debug = "lose=160";

/// The bits of a run on the GPU up to a step that ends an epoch, and on the CPU from there on.
std::string bits_of_two_parts(const Fixture& troupe, std::int64_t step, const std::string& epochs) {
  REQUIRE(step % lost_run_steps == 0);
  REQUIRE(step > 0);
  const Words first = lost_run + on_device();
  const std::string gpu_epochs = std::to_string(step / lost_run_steps);
  REQUIRE(troupe(first + Words{"--epochs", gpu_epochs, "--out", "parts"}).code == 0);
  REQUIRE(troupe({"train", "--resume", "parts", "--epochs", epochs}).code == 0);
  return troupe.bits("parts");
}

}  // namespace

// Goal: a run whose GPU is lost goes on by itself on the next device, says so once, and gives the
// bits of one that was resumed there from the same state.
TEST_CASE("a run whose GPU is lost goes on with the fallback", "[cli][vulkan]") {
  const Fixture troupe;
  Ended ended;
  {
    const Variable debug("TROUPE_VULKAN_DEBUG", lost_run_debug);
    // Committed where an epoch ends and nowhere else.
    const Words fallback{"--fallback", "cpu", "--commit-every", "1000000"};
    ended = troupe(lost_run + on_device() + fallback + Words{"--epochs", "8", "--out", "lost"});
  }
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.out.find("test accuracy") != std::string::npos);
  CHECK(ended.err.find("vulkan:0 is lost") != std::string::npos);
  const std::int64_t step = number_after(ended.err, "going on with cpu after step ");
  CHECK(step < 8 * lost_run_steps);
  CHECK(troupe.bits("lost") == bits_of_two_parts(troupe, step, "8"));
  // What is saved is of the device that it was computed on last.
  const Ended resumed = troupe({"train", "--resume", "lost", "--epochs", "9"});
  CHECK(resumed.code == 0);
  CHECK(resumed.err.find("results will differ") == std::string::npos);
}

TEST_CASE("without a fallback a lost GPU ends the run with the way on", "[cli][vulkan]") {
  const Fixture troupe;
  Ended ended;
  {
    const Variable debug("TROUPE_VULKAN_DEBUG", lost_run_debug);
    ended = troupe(lost_run + on_device() + Words{"--epochs", "8", "--out", "lost"});
  }
  check_error(ended, 1, "VK_ERROR_DEVICE_LOST", "troupe train --resume lost --device cpu");
  const std::int64_t step = number_after(ended.err, "lost/checkpoint, is of step ");
  REQUIRE(troupe({"train", "--resume", "lost", "--device", "cpu"}).code == 0);
  CHECK(troupe.bits("lost") == bits_of_two_parts(troupe, step, "8"));
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
