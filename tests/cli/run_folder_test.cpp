#include "run_folder.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::cli {
namespace {

DataFacts some_facts() {
  return {
      .image = {1, 8, 8},
      .train_count = 60,
      .test_count = 10,
      .mean = {0.2860406f},
      .deviation = {0.35302424f},
      .class_names = {"a", "b"}};
}

struct Fixture {
  [[nodiscard]] static nn::Trainer trainer() {
    const nn::Linear model(64, 2);
    return nn::Trainer({nn::AnyModule(model), optim::SGD(model.parameters())});
  }

  System system;
  Device& device = cpu::attach(system);
  Scope scope{system, device};
  sim::MemoryDisk disk;
  RunFolder folder{disk, "runs/a"};
};

}  // namespace

TEST_CASE("what was written about a run is read back exactly", "[cli]") {
  sim::MemoryDisk disk;
  RunFolder folder(disk, "runs/a");
  CHECK_FALSE(folder.exists());
  RunConfig config;
  config.data = "idx:d";
  config.lr = 0.1;
  folder.write_config(config, some_facts());
  CHECK(folder.exists());

  RunConfig read;
  DataFacts facts;
  folder.read_config(read, facts);
  CHECK(read.tree() == config.tree());
  CHECK(facts.tree() == some_facts().tree());
  CHECK(facts.mean == some_facts().mean);
}

TEST_CASE("a folder that is no run, or a damaged one, is told", "[cli]") {
  sim::MemoryDisk disk;
  const RunFolder folder(disk, "runs/a");
  RunConfig config;
  DataFacts facts;
  const auto code = [&] {
    try {
      folder.read_config(config, facts);
    } catch (const Error& error) {
      CHECK_FALSE(std::string(error.what()).find("runs/a") == std::string::npos);
      return error.code();
    }
    return ErrorCode::internal;
  };
  CHECK(code() == ErrorCode::file_not_found);
  const auto put = [&](const std::string& text) {
    disk.put("runs/a/config.json", std::as_bytes(std::span(text)));
  };
  put("{\"data\": ");
  CHECK(code() == ErrorCode::file_corrupt);
  put("{\"data\": \"x\"}");
  CHECK(code() == ErrorCode::file_mismatch);
  put("{\"data\": 3}");
  CHECK(code() == ErrorCode::file_mismatch);
}

TEST_CASE("free names count up", "[cli]") {
  sim::MemoryDisk disk;
  CHECK(RunFolder::free_name(disk, "mlp") == "runs/mlp-1");
  RunFolder(disk, "runs/mlp-1").write_config({}, some_facts());
  CHECK(RunFolder::free_name(disk, "mlp") == "runs/mlp-2");
}

// Goal: a full disk during a save leaves a run that can go on. Method: the disk fills up at every
// possible byte of a second save, in steps.
TEST_CASE("a full disk during a save leaves the previous checkpoint whole", "[cli]") {
  Fixture fixture;
  nn::Trainer trainer = Fixture::trainer();
  fixture.folder.write_config({}, some_facts());
  fixture.folder.save(trainer, {});
  const std::uint64_t used = fixture.disk.bytes_used();

  int failures = 0;
  for (std::uint64_t room = 0;; room += 64) {
    fixture.disk.set_capacity(used + room);
    try {
      fixture.folder.save(trainer, {});
    } catch (const Error& error) {
      ++failures;
      CHECK(error.code() == ErrorCode::disk_full);
      CHECK(io::load_checkpoint(fixture.disk, fixture.folder.checkpoint_path()).ok());
      continue;
    }
    break;
  }
  CHECK(failures > 5);
}

}  // namespace troupe::cli
