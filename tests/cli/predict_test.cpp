#include "predict.hpp"

#include "program.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <sstream>

namespace troupe::cli::test {

TEST_CASE("predict shows images and what they are taken for", "[cli]") {
  const Folder folder("predict");
  write_idx_folder(folder / "data", 600, 100);
  REQUIRE(
      run(folder,
          {"train",
           "--data",
           "idx:data",
           "--model",
           "cnn",
           "--epochs",
           "2",
           "--batch-size",
           "8",
           "--out",
           "a"})
          .code == 0);
  const Ended ended =
      run(folder, {"predict", "a", "data/t10k-images-idx3-ubyte", "--count", "20", "--first", "5"});
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.out.find('\x1b') == std::string::npos);  // no terminal, no colour
  CHECK(ended.out.starts_with("image 5\n"));

  // Each: a title, four lines of eight letters, three guesses, an empty line. Most are right.
  std::istringstream lines(ended.out);
  const std::string labels = read_file(folder / "data/t10k-labels-idx1-ubyte");
  int right = 0;
  for (std::size_t i = 5; i < 25; ++i) {
    std::string line;
    std::getline(lines, line);
    CHECK(line == "image " + std::to_string(i));
    for (int row = 0; row < 4; ++row) {
      std::getline(lines, line);
      CHECK(line.size() == 8);
    }
    double total = 0;
    for (int guess = 0; guess < 3; ++guess) {
      std::getline(lines, line);
      total += std::stod(line);
      CHECK(line.find(" %  ") != std::string::npos);
      if (guess == 0) right += line.back() - '0' == labels[8 + i];
    }
    CHECK(total <= 100.2);
    std::getline(lines, line);
    CHECK(line.empty());
  }
  CHECK(right >= 18);

  const auto fails = [&](std::vector<std::string> arguments, const std::string& message) {
    arguments.insert(arguments.begin(), {"predict", "a"});
    const Ended failed = run(folder, arguments);
    CAPTURE(failed.err, message);
    CHECK(failed.code == 1);
    CHECK(failed.err.starts_with("error: "));
    CHECK(failed.err.find(message) != std::string::npos);
  };
  CHECK(
      run(folder, {"predict", "a", "data/train-images-idx3-ubyte", "--count", "300"})
          .out.find("\nimage 299\n") != std::string::npos);
  fails({"nothing.idx"}, "nothing.idx");
  fails(
      {"data/t10k-labels-idx1-ubyte"}, "holds uint8[100]; the model takes uint8 images [1, 8, 8]");
  fails({"data/t10k-images-idx3-ubyte", "--first", "100"}, "there is no number 100");
  write_file(folder / "bad.idx", "nonsense");
  fails({"bad.idx"}, "bad.idx: at byte ");
}

// Goal: memory is bounded by the batch, not by how many images are asked for. The first
// convolution's output alone would take 200 MB for all of them at once.
TEST_CASE("predicting many images takes no more memory than few", "[cli]") {
  const Folder folder("predict-many");
  write_idx_folder(folder / "data", 2000, 8, 28);
  REQUIRE(
      run(folder,
          {"train",
           "--data",
           "idx:data",
           "--model",
           "cnn",
           "--epochs",
           "1",
           "--limit",
           "8",
           "--out",
           "a"})
          .code == 0);
  const Ended ended =
      run(folder, {"predict", "a", "data/train-images-idx3-ubyte", "--count", "2000"});
  CHECK(ended.code == 0);
  CHECK(ended.out.find("\nimage 1999\n") != std::string::npos);
  CHECK(ended.resident_kib_max < 200'000);
}

}  // namespace troupe::cli::test
