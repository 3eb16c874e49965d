#include "run_folder.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/sgd.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <numbers>
#include <string>

namespace troupe::cli {
namespace {

ImageFacts some_facts() {
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
    const nn::Sequential model{nn::Flatten(), nn::Linear(64, 2)};
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

  RunConfig read;
  DataFacts facts;
  folder.read_config(read, facts);
  CHECK(read.tree() == config.tree());
  CHECK(std::get<ImageFacts>(facts).tree() == some_facts().tree());
  CHECK(std::get<ImageFacts>(facts).mean == some_facts().mean);
}

TEST_CASE("a run on text is read back as such", "[cli]") {
  sim::MemoryDisk disk;
  RunFolder folder(disk, "runs/a");
  RunConfig config;
  config.data = "text:book.txt";
  config.model = "gpt";
  config.layers = 7;
  folder.write_config(config, TextFacts{.bytes = 1000, .crc32 = 0xffffffff});
  RunConfig read;
  DataFacts facts;
  folder.read_config(read, facts);
  CHECK(read.tree() == config.tree());
  CHECK(read.layers == 7);
  REQUIRE(kind_of(facts) == DataKind::text);
  CHECK(std::get<TextFacts>(facts).bytes == 1000);
  CHECK(std::get<TextFacts>(facts).crc32 == 0xffffffff);
}

TEST_CASE("lines of a text's metrics tell bits per byte", "[cli]") {
  const nn::EpochMetrics epoch{
      .epoch = 2,
      .step = 20,
      .train_loss = 2 * std::numbers::ln2,
      .train_accuracy = 0.5,
      .test_loss = 3 * std::numbers::ln2,
      .test_accuracy = 0.25,
      .seconds = 4,
      .samples_per_second = 5};
  CHECK(metrics_line(epoch, DataKind::images) == epoch.tree());
  CHECK(
      io::to_json(metrics_line(epoch, DataKind::text)) ==
      R"({"epoch":2,"step":20,"train_loss":1.3862943611198906,"train_bits_per_byte":2.0,)"
      R"("test_loss":2.0794415416798357,"test_bits_per_byte":3.0,"seconds":4.0,)"
      R"("bytes_per_second":5.0})");
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

TEST_CASE("facts that no images have are refused, naming file and fact", "[cli]") {
  sim::MemoryDisk disk;
  RunFolder folder(disk, "runs/a");
  const auto message = [&](const char* name, const io::Tree& value) {
    folder.write_config({}, some_facts());
    const std::vector<std::byte> bytes = disk.read_all("runs/a/config.json").value();
    io::Tree tree =
        io::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "").value();
    (std::string_view(name) == "accumulate" ? tree : tree["images"])[name] = value;
    const std::string text = io::to_json(tree);
    disk.put("runs/a/config.json", std::as_bytes(std::span(text)));
    RunConfig config;
    DataFacts facts;
    try {
      folder.read_config(config, facts);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::file_mismatch);
      return error.message();
    }
    return std::string("was accepted");
  };
  const auto refused = [&](const char* name, const io::Tree& value) {
    const std::string told = message(name, value);
    CAPTURE(name, told);
    CHECK(told.starts_with("runs/a/config.json: "));
    CHECK(told.find("'" + std::string(name) + "'") != std::string::npos);
  };
  using List = io::Tree::List;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  refused("image", List{1, 0, 8});
  refused("image", List{1, -8, -8});
  refused("image", List{1, 8});
  refused("image", List{most, most, most});
  refused("image", List{std::int64_t{1} << 21, std::int64_t{1} << 21, 1});
  refused("train_count", 0);
  refused("test_count", most);
  refused("mean", List{0.5, 0.5});
  refused("mean", List{"NaN"});
  refused("deviation", List{0.0});
  refused("deviation", List());
  refused("class_names", List());
  refused("class_names", List(257, "x"));
  refused("accumulate", 0);
  CHECK(message("image", List{1, 28, 28}) == "was accepted");
}

// Goal: a folder whose first save failed is free for another try. Method: the disk fills up before
// the first checkpoint is whole.
TEST_CASE("a folder is a run once there is a checkpoint to go on from", "[cli]") {
  Fixture fixture;
  nn::Trainer trainer = Fixture::trainer();
  fixture.folder.write_config({}, some_facts());
  fixture.disk.set_capacity(fixture.disk.bytes_used() + 100);
  CHECK_THROWS_AS(fixture.folder.save(trainer, {}), Error);
  CHECK_FALSE(fixture.folder.exists());
  fixture.disk.set_capacity(1 << 20);
  fixture.folder.save(trainer, {});
  CHECK(fixture.folder.exists());
}

TEST_CASE("a checkpoint that no trainer wrote is refused, naming its file", "[cli]") {
  Fixture fixture;
  nn::Trainer trainer = Fixture::trainer();
  io::Archive archive = trainer.archive();
  archive.meta["step"] = -1;
  (void)io::save_checkpoint(fixture.disk, fixture.folder.checkpoint_path(), archive).value();
  try {
    (void)fixture.folder.resume(trainer);
    FAIL("was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::file_mismatch);
    CHECK(error.message().starts_with("runs/a/checkpoint/save-000001/meta.json: 'step' is -1"));
  }
}

// Goal: what a save that was cut short left behind is mended on resuming: metrics and weights are
// those of the checkpoint. Method: the machine stops after each operation of the second save.
TEST_CASE("resuming makes metrics and weights those of the checkpoint", "[cli]") {
  Fixture fixture;
  const auto set = std::make_shared<data::ImageSet>();
  *set = {
      16, 1, 8, 8, std::vector<std::byte>(16 * 64, std::byte{7}), std::vector<std::uint8_t>(16)};
  data::Loader loader(fixture.device, set, {}, {}, {.batch_size = 8});

  int cut_short = 0;
  for (bool cut = true; cut;) {
    const auto stop = static_cast<std::uint64_t>(cut_short);
    CAPTURE(stop);
    sim::MemoryDisk disk;
    RunFolder folder(disk, "runs/a");
    nn::Trainer trainer = Fixture::trainer();
    folder.write_config({}, some_facts());
    folder.save(trainer, "mine");
    CHECK(trainer.fit(loader));
    disk.stop_after_operations(stop);
    cut = false;
    try {
      folder.save(trainer, "mine");
    } catch (const Error&) {
      cut = true;
      ++cut_short;
    }
    disk.reboot(sim::Crash::process);

    nn::Trainer resumed = Fixture::trainer();
    const Resumed found = folder.resume(resumed);
    CHECK(found.about.as_string() == "mine");
    CHECK(found.notices.empty());
    const auto text = disk.read_all("runs/a/metrics.jsonl").value();
    CHECK(
        std::count(text.begin(), text.end(), std::byte{'\n'}) ==
        std::ptrdiff_t(resumed.metrics().size()));
    const nn::StateDict weights = nn::load(disk, folder.model_path()).value();
    CHECK(
        nn::find(weights, "1.weight")->to_vector<float>() ==
        resumed.task().model.parameters()[0].tensor().to_vector<float>());
    const std::uint64_t before = disk.bytes_appended();
    (void)folder.resume(resumed);
    CHECK(disk.bytes_appended() == before);  // nothing was left to mend
  }
  CHECK(cut_short > 10);
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
