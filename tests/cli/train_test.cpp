#include "train.hpp"

#include "training.hpp"

#include <troupe/io/checkpoint.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

// Drives the real program: what is tested is what a person gets.
namespace troupe::cli::test {
TEST_CASE("a run writes its folder and learns", "[cli]") {
  const Fixture troupe;
  const auto model = GENERATE(as<std::string>{}, "mlp", "cnn");
  const Ended ended =
      troupe(small_run + Words{"--model", model, "--epochs", "3", "--threads", "2", "--out", "a"});
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.out.starts_with("test accuracy "));
  // Plain lines where there is no terminal: nothing is drawn over, nothing is coloured.
  CHECK(ended.err.find_first_of("\r\x1b") == std::string::npos);

  const auto lines = troupe.metrics("a");
  REQUIRE(lines.size() == 3);
  Words names;
  for (const auto& [name, value] : lines[2].as_map()) names.push_back(name);
  CHECK(
      names == Words{
                   "epoch",
                   "step",
                   "train_loss",
                   "train_accuracy",
                   "test_loss",
                   "test_accuracy",
                   "seconds",
                   "samples_per_second"});
  CHECK(lines[2].at("epoch").as_int() == 3);
  CHECK(lines[2].at("step").as_int() == 3 * 75);
  CHECK(lines[2].at("test_accuracy").as_double() > 0.9);
  CHECK(lines[2].at("train_loss").as_double() < lines[0].at("train_loss").as_double());
  CHECK(lines[2].at("seconds").as_double() > 0);
  CHECK(lines[2].at("samples_per_second").as_double() > 0);

  const io::Tree config =
      io::parse_json(read_file(troupe.folder / "a/config.json"), "config").value();
  CHECK(config.at("model").as_string() == model);
  CHECK(config.at("batch_size").as_int() == 8);
  CHECK(config.at("seed").as_int() == 3);
  CHECK(io::has_checkpoint(*make_real_disk(), troupe.folder / "a/checkpoint"));
}

// Goal: bits depend on the config alone, not on threads, doors or a stop in the middle.
TEST_CASE("the same bits for any number of threads, through both doors", "[cli]") {
  const Fixture troupe;
  const auto variant = GENERATE(
      Words{"--model", "mlp"},
      Words{"--model", "cnn"},
      Words{
          "--model",
          "cnn",
          "--optimizer",
          "sgd",
          "--momentum",
          "0.9",
          "--lr",
          "0.02",
          "--clip",
          "1",
          "--accumulate",
          "2",
          "--schedule",
          "warmup-cosine",
          "--augment"},
      Words{"--model", "mlp", "--optimizer", "adamw", "--schedule", "step", "--watch-nan"},
      Words{"--model", "cnn", "--precision", "bf16"},
      Words{"--model", "cnn", "--shards", "3", "--clip", "1", "--accumulate", "2", "--augment"});
  const Words common = small_run + variant + Words{"--epochs", "2"};
  const Ended first =
      troupe(common + Words{"--threads", "1", "--door", "program", "--out", "first"});
  CAPTURE(variant, first.err);
  REQUIRE(first.code == 0);
  const std::string expected = troupe.bits("first");

  int number = 0;
  for (const std::string threads : {"1", "2", "4"})
    for (const std::string door : {"program", "define-by-run"}) {
      CAPTURE(threads, door);
      const std::string out = "run" + std::to_string(++number);
      REQUIRE(troupe(common + Words{"--threads", threads, "--door", door, "--out", out}).code == 0);
      CHECK(troupe.bits(out) == expected);
    }
}

// Goal: the same where kernels are cut into chunks for threads: at the size of Fashion-MNIST and
// the batch of the README, for a few steps.
TEST_CASE("the same bits where threads share each kernel", "[cli]") {
  const Fixture troupe;
  write_idx_folder(troupe.folder / "large", 400, 200, 28);
  const auto model = GENERATE(as<std::string>{}, "mlp", "cnn");
  const Words common = {"train", "--data", "idx:large", "--model", model, "--epochs", "1"};
  std::string expected;
  for (const std::string threads : {"1", "2", "4"})
    for (const std::string door : {"program", "define-by-run"}) {
      CAPTURE(model, threads, door);
      const std::string out = door + threads;
      REQUIRE(
          troupe(
              common +
              Words{"--batch-size", "128", "--threads", threads, "--door", door, "--out", out})
              .code == 0);
      if (expected.empty()) expected = troupe.bits(out);
      CHECK(troupe.bits(out) == expected);
    }
}

TEST_CASE("another seed gives other bits", "[cli]") {
  const Fixture troupe;
  const Words common = {"train", "--data", "idx:data", "--model", "mlp", "--epochs", "1"};
  REQUIRE(troupe(common + Words{"--seed", "1", "--out", "a"}).code == 0);
  REQUIRE(troupe(common + Words{"--seed", "2", "--out", "b"}).code == 0);
  CHECK(troupe.bits("a") != troupe.bits("b"));
}

TEST_CASE("Ctrl-C saves and tells how to go on, with the same bits", "[cli]") {
  const Fixture troupe;
  const auto door = GENERATE(as<std::string>{}, "program", "define-by-run");
  const Words common = small_run + Words{
                                       "--model",
                                       "mlp",
                                       "--epochs",
                                       "12",
                                       "--door",
                                       door,
                                       "--accumulate",
                                       "3",
                                       "--schedule",
                                       "cosine"};
  REQUIRE(troupe(common + Words{"--out", "whole"}).code == 0);

  Running running(troupe.folder, common + Words{"--out", "cut"});
  REQUIRE(eventually([&] { return !read_file(troupe.folder / "cut/metrics.jsonl").empty(); }));
  running.send(SIGINT);
  const Ended cut = running.wait();
  CAPTURE(cut.err);
  REQUIRE(cut.code == 130);
  CHECK(cut.err.find("troupe train --resume cut") != std::string::npos);
  CHECK(troupe.metrics("cut").size() < 12);

  const Ended resumed = troupe({"train", "--resume", "cut", "--door", door, "--threads", "2"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(troupe.bits("cut") == troupe.bits("whole"));
}

// Through the other door and on other threads than it was begun with.
TEST_CASE("a killed run goes on from its last epoch, with the same bits", "[cli]") {
  const Fixture troupe;
  const auto [door, threads, other_door, other_threads] =
      GENERATE(table<std::string, std::string, std::string, std::string>(
          {{"program", "1", "define-by-run", "2"}, {"define-by-run", "4", "program", "1"}}));
  const Words common =
      small_run + Words{"--model", "mlp", "--epochs", "12", "--door", door, "--threads", threads};
  REQUIRE(troupe(common + Words{"--out", "whole"}).code == 0);

  Running running(troupe.folder, common + Words{"--out", "cut"});
  REQUIRE(eventually([&] { return !read_file(troupe.folder / "cut/metrics.jsonl").empty(); }));
  running.send(SIGKILL);
  REQUIRE(running.wait().code == 128 + SIGKILL);
  const Ended resumed =
      troupe({"train", "--resume", "cut", "--door", other_door, "--threads", other_threads});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(troupe.bits("cut") == troupe.bits("whole"));
}

// Goal: memory for a step's batches is for those there are.
TEST_CASE("more batches for a step than an epoch has are all of them", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "2", "--limit", "64"};
  REQUIRE(troupe(common + Words{"--accumulate", "8", "--out", "a"}).code == 0);
  const Ended more = troupe(common + Words{"--accumulate", "1000000000", "--out", "b"});
  CHECK(more.code == 0);
  CHECK(more.resident_kib_max < 250'000);
  CHECK(troupe.bits("b") == troupe.bits("a"));
}

TEST_CASE("a finished run can be given more epochs", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp"};
  REQUIRE(troupe(common + Words{"--epochs", "3", "--out", "whole"}).code == 0);
  REQUIRE(troupe(common + Words{"--epochs", "1", "--out", "more"}).code == 0);
  REQUIRE(troupe({"train", "--resume", "more", "--epochs", "3"}).code == 0);
  CHECK(troupe.bits("more") == troupe.bits("whole"));
}

TEST_CASE("in bf16 a run learns as in float32, and stays one of bf16", "[cli]") {
  const Fixture troupe;
  const auto trained = [&](const std::string& precision) {
    const Words common = small_run + Words{"--model", "mlp", "--epochs", "3"};
    const Ended ended = troupe(common + Words{"--precision", precision, "--out", precision});
    CAPTURE(ended.err);
    REQUIRE(ended.code == 0);
    return troupe.metrics(precision).back();
  };
  const io::Tree single = trained("float32");
  const io::Tree mixed = trained("bf16");
  CHECK(mixed.at("train_loss").as_double() != single.at("train_loss").as_double());
  CHECK(mixed.at("test_accuracy").as_double() >= single.at("test_accuracy").as_double() - 0.003);

  // What is made of the run is computed as it was trained.
  const Ended found = troupe({"eval", "bf16", "--batch-size", "8"});
  CHECK(io::parse_json(found.out, "stdout").value().at("loss") == mixed.at("test_loss"));
  const Ended graph = troupe({"graph", "bf16"});
  CHECK(graph.out.find("bfloat16[") != std::string::npos);
  CHECK(troupe({"graph", "float32"}).out.find("bfloat16[") == std::string::npos);

  const Ended other = troupe({"train", "--resume", "bf16", "--precision", "float32"});
  CHECK(other.code == 1);
  CHECK(other.err.find("precision was \"bf16\", not \"float32\"") != std::string::npos);
  CHECK(troupe({"train", "--resume", "bf16", "--epochs", "4"}).code == 0);
}

TEST_CASE("the number of shards is a run's own", "[cli]") {
  const Fixture troupe;
  const Words model = small_run + Words{"--model", "mlp"};
  const Words two = model + Words{"--epochs", "2"};
  REQUIRE(troupe(two + Words{"--out", "none"}).code == 0);
  REQUIRE(troupe(two + Words{"--shards", "1", "--out", "one"}).code == 0);
  REQUIRE(troupe(two + Words{"--shards", "4", "--out", "four"}).code == 0);
  CHECK(troupe.bits("one") == troupe.bits("none"));
  CHECK(troupe.bits("four") != troupe.bits("none"));
  CHECK(troupe.metrics("four").back().at("test_accuracy").as_double() > 0.8);
  // Rounding alone, over 150 steps.
  const auto loss = [&](const std::string& run) {
    return troupe.metrics(run).back().at("test_loss").as_double();
  };
  CHECK(std::abs(loss("four") - loss("none")) < 1e-3);
  CHECK(troupe({"graph", "four"}).out.find("float32[2, 512]") != std::string::npos);

  check_error(
      troupe({"train", "--resume", "four", "--shards", "2"}),
      1,
      "shards was 4, not 2",
      "leave these options out");
  REQUIRE(troupe({"train", "--resume", "four", "--shards", "4", "--epochs", "3"}).code == 0);
  REQUIRE(troupe(model + Words{"--shards", "4", "--epochs", "3", "--out", "more"}).code == 0);
  CHECK(troupe.bits("four") == troupe.bits("more"));

  check_error(
      troupe(two + Words{"--limit", "3", "--shards", "4", "--out", "few"}),
      1,
      "a batch of 3 samples cannot be cut into 4 shards",
      "larger batches, or fewer shards");
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "few"));
}

TEST_CASE("a second Ctrl-C ends the program at once", "[cli]") {
  const Fixture troupe;
  // Steps so long that the second comes before the step that the first waits for is over.
  write_idx_folder(troupe.folder / "large", 2000, 8, 28);
  Running running(
      troupe.folder,
      {"train",
       "--data",
       "idx:large",
       "--model",
       "cnn",
       "--batch-size",
       "2000",
       "--epochs",
       "100000",
       "--out",
       "a"});
  REQUIRE(eventually([&] { return !read_file(troupe.folder / "a/metrics.jsonl").empty(); }));
  running.send(SIGINT);
  REQUIRE(eventually([&] { return running.err().find("once more ends") != std::string::npos; }));
  running.send(SIGINT);
  const Ended ended = running.wait();
  CAPTURE(ended.err);
  CHECK(ended.code == 130);
  CHECK(ended.err.find("ended without saving") != std::string::npos);
  CHECK(io::load_checkpoint(*make_real_disk(), troupe.folder / "a/checkpoint").ok());
}

TEST_CASE("quiet leaves the result alone", "[cli]") {
  const Fixture troupe;
  const Ended ended = troupe(
      small_run +
      Words{"--model", "mlp", "--epochs", "1", "--limit", "64", "--quiet", "--out", "a"});
  CHECK(ended.code == 0);
  CHECK(ended.err.empty());
  CHECK(ended.out.starts_with("test accuracy "));
}

TEST_CASE("quiet leaves Ctrl-C without a word", "[cli]") {
  const Fixture troupe;
  Running running(
      troupe.folder,
      small_run + Words{"--model", "mlp", "--epochs", "100000", "--quiet", "--out", "a"});
  REQUIRE(eventually([&] { return !read_file(troupe.folder / "a/metrics.jsonl").empty(); }));
  running.send(SIGINT);
  const Ended ended = running.wait();
  CHECK(ended.code == 130);
  CHECK(ended.err.empty());
  CHECK(ended.out.empty());
}

TEST_CASE("a trace is JSON and holds a few steps", "[cli]") {
  const Fixture troupe;
  const auto door = GENERATE(as<std::string>{}, "program", "define-by-run");
  const Words common =
      small_run + Words{"--model", "mlp", "--threads", "2", "--door", door, "--out", "a"};
  const auto traced = [&](const Words& more) {
    const Ended ended = troupe(more + Words{"--trace", "step.json"});
    CAPTURE(ended.err);
    CHECK(ended.code == 0);
    CHECK(ended.err.find("the trace of ") != std::string::npos);
    const io::Tree tree =
        io::parse_json(read_file(troupe.folder / "step.json"), "step.json").value();
    std::map<std::string, int> counts;
    for (const io::Tree& event : tree.at("traceEvents").as_list()) {
      const io::Tree* kind = event.find("cat");
      if (event.at("name") == io::Tree("step")) ++counts["step"];
      if (kind) ++counts[kind->as_string()];
    }
    CHECK(counts["message"] > 0);
    return counts["step"];
  };
  CHECK(traced(common + Words{"--epochs", "1"}) == 3);
  // Near the end of a run, and in one of a single step, there are fewer.
  CHECK(traced({"train", "--resume", "a", "--epochs", "2", "--door", door}) == 3);
  std::filesystem::remove_all(troupe.folder / "a");
  CHECK(traced(common + Words{"--epochs", "1", "--limit", "8"}) == 1);
  CHECK(traced({"train", "--resume", "a", "--epochs", "2", "--door", door}) == 1);
}

TEST_CASE("a trace without steps is told, and one that cannot be written at once", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "64"};
  check_error(
      troupe(common + Words{"--trace", "nowhere/step.json", "--out", "a"}),
      1,
      "nowhere/step.json",
      "--trace takes the name of a file");
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "a"));

  REQUIRE(troupe(common + Words{"--out", "a"}).code == 0);
  const Ended finished = troupe({"train", "--resume", "a", "--trace", "step.json"});
  CHECK(finished.code == 0);
  CHECK(finished.err.find("warning: there is no trace in step.json") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "step.json"));

  // Ctrl-C in the steps before the traced ones, which are long enough to be hit.
  write_idx_folder(troupe.folder / "large", 4000, 8, 28);
  Running running(
      troupe.folder,
      {"train",
       "--data",
       "idx:large",
       "--model",
       "cnn",
       "--batch-size",
       "500",
       "--trace",
       "step.json",
       "--out",
       "b"});
  REQUIRE(eventually([&] { return running.err().find("training in b") != std::string::npos; }));
  running.send(SIGINT);
  const Ended cut = running.wait();
  CAPTURE(cut.err);
  CHECK(cut.code == 130);
  CHECK(cut.err.find("warning: there is no trace in step.json") != std::string::npos);
}

TEST_CASE("a profile tells of a step's ops and changes no bit", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "1", "--threads", "2"};
  REQUIRE(troupe(common + Words{"--out", "plain"}).code == 0);
  const Ended ended = troupe(common + Words{"--out", "a", "--profile"});
  CAPTURE(ended.err, ended.out);
  REQUIRE(ended.code == 0);
  CHECK(ended.out.find("20 steps measured\n") != std::string::npos);
  CHECK(ended.out.find("\nlinear + relu ") != std::string::npos);
  CHECK(ended.out.find("\nlimits of 2 threads: float32 ") != std::string::npos);
  CHECK(ended.out.find("\ntest accuracy ") != std::string::npos);
  CHECK(ended.err.find("the profile is in a/profile.html") != std::string::npos);
  CHECK(read_file(troupe.folder / "a/profile.html").find("linear + relu") != std::string::npos);
  CHECK(troupe.bits("a") == troupe.bits("plain"));

  // In a run of a single step, that one.
  const Ended one = troupe(common + Words{"--limit", "8", "--out", "b", "--profile", "page.html"});
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  CHECK(one.out.find("; 1 step measured\n") != std::string::npos);
  CHECK(read_file(troupe.folder / "page.html").starts_with("<!DOCTYPE html>"));

  const Ended finished = troupe({"train", "--resume", "b", "--profile", "other.html"});
  CHECK(finished.code == 0);
  CHECK(finished.err.find("warning: there is no profile") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "other.html"));
}

TEST_CASE("a profile is refused where there can be none", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--out", "a", "--profile"};
  check_error(
      troupe(common + Words{"--door", "define-by-run"}),
      1,
      "define-by-run has none",
      "leave out --door define-by-run");
  check_error(
      troupe(common + Words{"--watch-nan"}), 1, "--watch-nan runs", "one of them at a time");
  check_error(
      troupe(common + Words{"nowhere/page.html"}),
      1,
      "nowhere/page.html",
      "--profile takes the name of a file");
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "a"));
}

TEST_CASE("what cannot be trained on is told in one block", "[cli]") {
  const Fixture troupe;
  const auto on = [&](const std::string& data) {
    return troupe({"train", "--data", data, "--model", "mlp", "--out", "a"});
  };
  check_error(on("mnist"), 1, "no data set is called 'mnist'", "fashion-mnist, idx:DIR");
  check_error(on("idx:nowhere"), 1, "nowhere/train-images-idx3-ubyte", "must hold the files");
  check_error(on("cifar10:nowhere"), 1, "nowhere/data_batch_1.bin", "CIFAR-10's binary layout");
  check_error(on("shapes10:"), 1, "names no folder", "--data shapes10:shapes");
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "a"));
}

TEST_CASE("damaged data are told with file, offset and reason", "[cli]") {
  const Fixture troupe;
  const std::string images = troupe.folder / "data/train-images-idx3-ubyte";
  const std::string whole = read_file(images);
  const auto train = [&] { return troupe(small_run + Words{"--model", "mlp", "--out", "a"}); };

  write_file(images, whole.substr(0, 1000));
  const Ended truncated = train();
  CHECK(truncated.code == 1);
  CHECK(
      truncated.err.find("error: data/train-images-idx3-ubyte: at byte 16: ") != std::string::npos);

  std::string mislabelled = whole;
  mislabelled[2] = '\x0d';  // float32, for which the file is too short
  write_file(images, mislabelled);
  const Ended wrong = train();
  CHECK(wrong.code == 1);
  CHECK(wrong.err.find("error: data/train-images-idx3-ubyte: ") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "a"));
}

TEST_CASE("what cannot be run on, or written to, is told in one block", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "64"};
  check_error(
      troupe(common + Words{"--device", "gpu:0", "--out", "a"}),
      1,
      "there is no device \"gpu:0\"",
      "lists those of this machine");
  write_file(troupe.folder / "file", "x");
  const Ended ended = troupe(common + Words{"--out", "file/run"});
  CHECK(ended.code == 1);
  CHECK(ended.err.find("error: ") != std::string::npos);
  CHECK(ended.err.find("file") != std::string::npos);

  REQUIRE(troupe(common + Words{"--out", "a"}).code == 0);
  check_error(troupe(common + Words{"--out", "a"}), 1, "a holds a run already", "--resume a");
}

// Goal: a first save that fails does not lock its folder. Method: a file in the place of the folder
// of checkpoints makes it fail.
TEST_CASE("a folder whose first save failed can be trained in again", "[cli]") {
  const Fixture troupe;
  const Words common =
      small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "64", "--out", "a"};
  std::filesystem::create_directories(troupe.folder / "a");
  write_file(troupe.folder / "a/checkpoint", "x");
  const Ended failed = troupe(common);
  CHECK(failed.code == 1);
  CHECK(failed.err.find("error: a/checkpoint: ") != std::string::npos);
  check_error(troupe({"train", "--resume", "a"}), 1, "a/checkpoint", "begin it anew with --out");
  std::filesystem::remove(troupe.folder / "a/checkpoint");
  CHECK(troupe(common).code == 0);
}

TEST_CASE("resuming a finished run mends what its last save left out", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "2", "--limit", "64"};
  REQUIRE(troupe(common + Words{"--out", "a"}).code == 0);
  const std::string expected = troupe.bits("a");
  const std::string lines = read_file(troupe.folder / "a/metrics.jsonl");
  write_file(troupe.folder / "a/metrics.jsonl", lines.substr(0, lines.find('\n') + 1));
  std::filesystem::remove(troupe.folder / "a/model.safetensors");
  REQUIRE(troupe({"train", "--resume", "a"}).code == 0);
  CHECK(troupe.bits("a") == expected);
  CHECK(read_file(troupe.folder / "a/metrics.jsonl") == lines);
}

// Goal: a config.json that was edited is told with file and field by every command, and asks for no
// memory that nothing stands behind.
TEST_CASE("an edited config is refused, naming file and field", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "64"};
  REQUIRE(troupe(common + Words{"--out", "a"}).code == 0);
  const std::string path = troupe.folder / "a/config.json";
  const std::string whole = read_file(path);
  const auto edit = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    write_file(path, text.replace(at, from.size(), to));
  };
  const std::vector<Words> commands = {
      {"train", "--resume", "a"}, {"eval", "a"}, {"predict", "a", "data/t10k-images-idx3-ubyte"}};
  const std::vector<std::pair<std::string, std::string>> edits = {
      {"\"accumulate\": 1", "\"accumulate\": 0"},
      {"\"optimizer\": \"adam\"", "\"optimizer\": \"lion\""},
      {"\"schedule\": \"constant\"", "\"schedule\": \"constnt\""},
      {"\"epochs\": 1", "\"epochs\": 9223372036854775807"},
      {"\"train_count\": 600", "\"train_count\": -600"}};
  for (const auto& [from, to] : edits) {
    edit(from, to);
    const std::string field = "'" + from.substr(1, from.find('"', 1) - 1) + "'";
    for (const Words& command : commands) {
      const Ended ended = troupe(command);
      check_error(ended, 1, "a/config.json: ", "the file is from another version, or was edited");
      CHECK(ended.err.find(field) != std::string::npos);
    }
  }

  // Images whose first layer alone would be of 20 TB.
  edit("[\n      1,\n      8,\n      8\n    ]", "[1, 100000, 100000]");
  for (const Words& command : commands) {
    const Ended ended = troupe(command);
    CAPTURE(ended.err);
    CHECK(ended.code == 1);
    CHECK(ended.err.find("error: ") != std::string::npos);
    CHECK(ended.err.find("100000") != std::string::npos);
    CHECK(ended.resident_kib_max < 250'000);
  }
}

TEST_CASE("a command line that is none ends with 2", "[cli]") {
  const Fixture troupe;
  check_error(troupe({"train", "--epoch", "5"}), 2, "unknown option '--epoch'", "'--epochs'");
  check_error(
      troupe({"train", "--data", "x", "--model", "resnet"}), 2, "--model", "troupe train --help");
  check_error(troupe({"trian"}), 2, "unknown command 'trian'", "'train'");
}

TEST_CASE("resuming refuses another model, other settings and other data", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "64"};
  REQUIRE(troupe(common + Words{"--out", "a"}).code == 0);
  const auto resume = [&](const Words& more) {
    return troupe(Words{"train", "--resume", "a"} + more);
  };

  check_error(
      resume({"--model", "cnn"}), 1, "model was \"mlp\", not \"cnn\"", "leave these options out");
  check_error(
      resume({"--lr", "0.5", "--batch-size", "16"}),
      1,
      "batch_size was 8, not 16; lr was 0.001, not 0.5",
      "leave these options out");
  check_error(
      troupe({"train", "--resume", "nowhere"}), 1, "nowhere is not the folder of a run", "--out");
  // The same values said again are no contradiction.
  CHECK(resume({"--model", "mlp", "--batch-size", "8"}).code == 0);

  write_idx_folder(troupe.folder / "data", 500, 100);
  check_error(resume({"--epochs", "2"}), 1, "the data are not those", "put the old files back");
}

TEST_CASE("a damaged checkpoint is told, and an older one used", "[cli]") {
  const Fixture troupe;
  const Words common = small_run + Words{"--model", "mlp", "--epochs", "2", "--limit", "64"};
  REQUIRE(troupe(common + Words{"--out", "a"}).code == 0);
  std::vector<std::string> saves;
  for (const auto& entry : std::filesystem::directory_iterator(troupe.folder / "a/checkpoint"))
    saves.push_back(entry.path().string());
  std::sort(saves.begin(), saves.end());
  REQUIRE(saves.size() == 2);

  std::filesystem::resize_file(saves[1] + "/state.safetensors", 100);
  const Ended older = troupe({"train", "--resume", "a"});
  CAPTURE(older.err);
  CHECK(older.code == 0);
  CHECK(older.err.find("warning: ") != std::string::npos);
  CHECK(older.err.find("going on after 1 epochs") != std::string::npos);

  for (const auto& entry : std::filesystem::directory_iterator(troupe.folder / "a/checkpoint"))
    std::filesystem::resize_file(entry.path() / "state.safetensors", 100);
  // Whoever trained there before must not save between the reading and the lease.
  const auto lease = [&] {
    return io::parse_json(read_file(troupe.folder / "a/lease.json"), "lease")
        .value()
        .at("token")
        .as_uint();
  };
  const std::uint64_t before = lease();
  check_error(
      troupe({"train", "--resume", "a"}),
      1,
      "state.safetensors",
      "without a checkpoint the run cannot go on");
  CHECK(lease() == before + 1);
  std::filesystem::remove_all(troupe.folder / "a/checkpoint");
  check_error(
      troupe({"train", "--resume", "a"}),
      1,
      "checkpoint",
      "without a checkpoint the run cannot go on");
}

TEST_CASE("watch-nan names the step and the op that made the first NaN", "[cli]") {
  const Fixture troupe;
  // Steps of this length drive the weights past what float32 holds within a few steps.
  const Words common = small_run + Words{"--model", "mlp", "--optimizer", "sgd", "--watch-nan"};
  const auto door = GENERATE(as<std::string>{}, "program", "define-by-run");
  const auto threads = GENERATE(as<std::string>{}, "1", "2");
  const auto check = [&](const std::string& lr, const std::string& op, const std::string& step) {
    const Ended ended =
        troupe(common + Words{"--lr", lr, "--threads", threads, "--door", door, "--out", "a" + lr});
    CAPTURE(ended.err);
    CHECK(ended.code == 1);
    CHECK(ended.err.find("error: " + op) != std::string::npos);
    CHECK(ended.err.find("NaN") != std::string::npos);
    CHECK(ended.err.find("trainer.cpp:") != std::string::npos);
    CHECK(ended.err.find("\n  in step " + step + "\n") != std::string::npos);
  };
  check("1e30", "linear", "2");
  check("1e39", "sgd_update: ", "1");  // the update itself, before it is written
}

}  // namespace troupe::cli::test
