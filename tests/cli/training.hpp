#pragma once

#include "program.hpp"

#include <troupe/io/tree.hpp>

#include <catch2/catch_test_macros.hpp>

#include <sstream>
#include <string>
#include <vector>

/// What tests that train with the real program share.
namespace troupe::cli::test {

using Words = std::vector<std::string>;

inline Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// 75 steps an epoch, which both models learn in two.
inline const Words small_run = {"train", "--data", "idx:data", "--batch-size", "8", "--seed", "3"};

struct Fixture {
  Fixture() : folder("train") { write_idx_folder(folder / "data", 600, 100); }
  Ended operator()(const Words& arguments) const { return run(folder, arguments); }

  [[nodiscard]] std::vector<io::Tree> metrics(const std::string& run) const {
    std::istringstream lines(read_file(folder / (run + "/metrics.jsonl")));
    std::vector<io::Tree> list;
    for (std::string line; std::getline(lines, line);)
      list.push_back(io::parse_json(line, "metrics.jsonl").value());
    return list;
  }
  /// Weights and all of the metrics but the times, which must be the same bit by bit; the weights
  /// as a number, for people to compare.
  [[nodiscard]] std::string bits(const std::string& run) const {
    const std::string weights = read_file(folder / (run + "/model.safetensors"));
    REQUIRE(weights.size() > 1000);
    std::string text = "weights " + std::to_string(std::hash<std::string>{}(weights));
    for (const io::Tree& line : metrics(run))
      for (const auto& [name, value] : line.as_map())
        if (name != "seconds" && !name.ends_with("_per_second"))
          text += "\n" + name + " " + io::to_json(value);
    return text;
  }

  Folder folder;
};

/// 30 steps an epoch, of a model that learns the text's few sentences in four.
inline const Words text_run = {
    "train",
    "--data",
    "text:text.txt",
    "--context",
    "16",
    "--layers",
    "2",
    "--width",
    "32",
    "--heads",
    "2",
    "--lr",
    "5e-3",
    "--seed",
    "3"};

struct TextFixture : Fixture {
  TextFixture() { write_file(folder / "text.txt", small_text(4200)); }
};

/// The one block that a mistake or a failure is told in.
inline void check_error(
    const Ended& ended, int code, const std::string& message, const std::string& hint) {
  CAPTURE(ended.err, message, hint);
  CHECK(ended.code == code);
  CHECK(ended.out.empty());
  const std::size_t block = ended.err.find("error: ");
  REQUIRE(block != std::string::npos);
  CHECK(ended.err.find("error: ", block + 1) == std::string::npos);
  CHECK(ended.err.find(message, block) != std::string::npos);
  CHECK(ended.err.find("\n  hint: ", block) != std::string::npos);
  CHECK(ended.err.find(hint, block) != std::string::npos);
}

}  // namespace troupe::cli::test
