#include "training.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <filesystem>
#include <string>

// Drives the real program, on text.
namespace troupe::cli::test {

TEST_CASE("a run on text writes its folder and learns", "[cli]") {
  const TextFixture troupe;
  const Ended ended = troupe(
      text_run +
      Words{"--model", "gpt", "--untied", "--epochs", "4", "--threads", "2", "--out", "a"});
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.out.starts_with("test loss "));
  CHECK(ended.out.find(" bits per byte\n") != std::string::npos);
  CHECK(ended.err.find("training in a: gpt of ") != std::string::npos);
  CHECK(ended.err.find(" parameters on 3760 bytes, 2 threads\n") != std::string::npos);
  CHECK(ended.err.find(" bytes/s\n") != std::string::npos);

  const auto lines = troupe.metrics("a");
  REQUIRE(lines.size() == 4);
  Words names;
  for (const auto& [name, value] : lines[3].as_map()) names.push_back(name);
  CHECK(
      names == Words{
                   "epoch",
                   "step",
                   "train_loss",
                   "train_bits_per_byte",
                   "test_loss",
                   "test_bits_per_byte",
                   "seconds",
                   "bytes_per_second"});
  CHECK(lines[3].at("step").as_int() == 4 * 30);
  // A byte of which nothing is known takes 8 bits; of its neighbours' frequencies alone, more
  // than 4.
  CHECK(lines[3].at("test_bits_per_byte").as_double() < 3);
  CHECK(lines[3].at("bytes_per_second").as_double() > 0);

  const io::Tree config =
      io::parse_json(read_file(troupe.folder / "a/config.json"), "config").value();
  CHECK(config.at("model").as_string() == "gpt");
  CHECK(config.at("batch_size").as_int() == 8);
  CHECK(config.at("context").as_int() == 16);
  CHECK_FALSE(config.at("tied").as_bool());
  CHECK(config.at("text").at("bytes").as_int() == 4200);

  // What eval finds is what the last epoch's test found.
  const Ended found = troupe({"eval", "a", "--batch-size", "8", "--threads", "1"});
  CAPTURE(found.err);
  REQUIRE(found.code == 0);
  const io::Tree result = io::parse_json(found.out, "stdout").value();
  CHECK(result.at("loss") == lines[3].at("test_loss"));
  CHECK(result.at("bits_per_byte") == lines[3].at("test_bits_per_byte"));
  CHECK(result.at("bytes").as_int() == 26 * 16);
  CHECK(
      io::parse_json(troupe({"eval", "a", "--limit", "3"}).out, "stdout")
          .value()
          .at("bytes")
          .as_int() == 3 * 16);
  check_error(
      troupe({"eval", "a", "--data", "idx:data"}),
      1,
      "the model takes text, idx:data has [1, 8, 8]",
      "like those it was trained on: text:text.txt");
  check_error(
      troupe({"predict", "a", "data/t10k-images-idx3-ubyte"}),
      1,
      "a is a gpt, which goes on with text",
      "troupe generate a --prompt");
}

// Goal: bits depend on the config alone, not on threads, doors or a stop in the middle.
TEST_CASE("a language model's bits are the same for any threads, through both doors", "[cli]") {
  const TextFixture troupe;
  const Words settings =
      text_run + Words{"--dropout", "0.1", "--optimizer", "adamw", "--clip", "1"};
  const Words common = settings + Words{"--epochs", "2"};
  std::string expected;
  for (const std::string threads : {"1", "2", "4"})
    for (const std::string door : {"program", "define-by-run"}) {
      CAPTURE(threads, door);
      const std::string out = door + threads;
      REQUIRE(troupe(common + Words{"--threads", threads, "--door", door, "--out", out}).code == 0);
      if (expected.empty()) expected = troupe.bits(out);
      CHECK(troupe.bits(out) == expected);
    }

  // Stopped between two epochs, and gone on with through the other door.
  REQUIRE(troupe(settings + Words{"--epochs", "1", "--out", "more"}).code == 0);
  REQUIRE(
      troupe({"train", "--resume", "more", "--epochs", "2", "--door", "define-by-run"}).code == 0);
  CHECK(troupe.bits("more") == expected);
}

TEST_CASE("Ctrl-C in an epoch of text loses nothing", "[cli]") {
  const TextFixture troupe;
  const Words common = text_run + Words{"--epochs", "12", "--threads", "1"};
  REQUIRE(troupe(common + Words{"--out", "whole"}).code == 0);
  Running running(troupe.folder, common + Words{"--out", "cut"});
  REQUIRE(eventually([&] { return !read_file(troupe.folder / "cut/metrics.jsonl").empty(); }));
  running.send(SIGINT);
  const Ended cut = running.wait();
  CAPTURE(cut.err);
  REQUIRE(cut.code == 130);
  CHECK(troupe.metrics("cut").size() < 12);
  REQUIRE(troupe({"train", "--resume", "cut", "--threads", "2"}).code == 0);
  CHECK(troupe.bits("cut") == troupe.bits("whole"));
}

TEST_CASE("a language model is gone on with as it was begun", "[cli]") {
  const TextFixture troupe;
  const Words common = text_run + Words{"--epochs", "1", "--limit", "8"};
  REQUIRE(troupe(common + Words{"--out", "a"}).code == 0);
  check_error(
      troupe({"train", "--resume", "a", "--layers", "3"}), 1, "layers was 2, not 3", "--out");
  check_error(
      troupe({"train", "--resume", "a", "--augment"}), 1, "the gpt has no augment", "--out");
  CHECK(troupe({"train", "--resume", "a", "--layers", "2", "--epochs", "2"}).code == 0);

  std::string text = small_text(4200);
  text[100] = text[100] == 'x' ? 'y' : 'x';
  write_file(troupe.folder / "text.txt", text);
  check_error(
      troupe({"train", "--resume", "a", "--epochs", "3"}),
      1,
      "a text of 4200 bytes then, a text of 4200 bytes now, or other bytes",
      "put the old files back");

  REQUIRE(
      troupe(small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "8", "--out", "b"})
          .code == 0);
  check_error(
      troupe({"train", "--resume", "b", "--width", "64"}), 1, "the mlp has no width", "--out");
  check_error(
      troupe({"eval", "b", "--data", "text:text.txt"}),
      1,
      "the model takes images [1, 8, 8], text:text.txt has text",
      "idx:data");
}

TEST_CASE("what is no text, or too little, is told in one block", "[cli]") {
  const TextFixture troupe;
  const auto on = [&](const std::string& content) {
    write_file(troupe.folder / "t", content);
    return troupe({"train", "--data", "text:t", "--out", "a"});
  };
  check_error(on(""), 1, "t: is empty", "give a file of text");
  check_error(on(std::string(5000, '\0')), 1, "t: at byte 0: a NUL byte", "UTF-8");
  check_error(on(std::string(5000, '\1')), 1, "are control bytes", "plain or .gz");
  check_error(on(small_text(1000)), 1, "has no window of 129", "at least 1290 bytes");
  check_error(
      troupe({"train", "--data", "text:nowhere", "--out", "a"}), 1, "nowhere", "plain or .gz");
  check_error(
      troupe({"train", "--data", "text:t", "--model", "cnn"}), 2, "is for images", "--help");
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "a"));
}

}  // namespace troupe::cli::test
