#include "eval.hpp"

#include "program.hpp"

#include <troupe/io/tree.hpp>

#include <catch2/catch_test_macros.hpp>

#include <filesystem>

namespace troupe::cli::test {

TEST_CASE("eval finds what the last epoch's test found", "[cli]") {
  const Folder folder("eval");
  write_idx_folder(folder / "data", 600, 100);
  REQUIRE(
      run(folder,
          {"train",
           "--data",
           "idx:data",
           "--model",
           "mlp",
           "--epochs",
           "2",
           "--batch-size",
           "8",
           "--out",
           "a"})
          .code == 0);
  const Ended ended = run(folder, {"eval", "a", "--batch-size", "8", "--threads", "1"});
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  const io::Tree found = io::parse_json(ended.out, "stdout").value();
  const std::string lines = read_file(folder / "a/metrics.jsonl");
  const std::size_t second = lines.find('\n') + 1;
  const io::Tree last = io::parse_json(lines.substr(second), "metrics.jsonl").value();
  CHECK(found.at("loss") == last.at("test_loss"));
  CHECK(found.at("accuracy") == last.at("test_accuracy"));
  CHECK(found.at("samples").as_int() == 100);
  CHECK(
      io::parse_json(run(folder, {"eval", "a", "--limit", "10"}).out, "stdout")
          .value()
          .at("samples")
          .as_int() == 10);

  // On images of another size, of a run that is none, with weights of another model.
  const Ended other = run(folder, {"eval", "a", "--data", "shapes10:shapes"});
  CHECK(other.code == 1);
  CHECK(
      other.err.find("the model takes images [1, 8, 8], shapes10:shapes has [3, 32, 32]") !=
      std::string::npos);
  const Ended none = run(folder, {"eval", "nowhere"});
  CHECK(none.code == 1);
  CHECK(none.err.find("error: nowhere is not the folder of a run") == 0);

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
           "b"})
          .code == 0);
  std::filesystem::copy_file(
      folder / "b/model.safetensors",
      folder / "a/model.safetensors",
      std::filesystem::copy_options::overwrite_existing);
  const Ended swapped = run(folder, {"eval", "a"});
  CHECK(swapped.code == 1);
  CHECK(swapped.err.find("error: a/model.safetensors: ") == 0);
  CHECK(swapped.err.find("the weights are of another model") != std::string::npos);
  std::filesystem::resize_file(folder / "a/model.safetensors", 100);
  const Ended truncated = run(folder, {"eval", "a"});
  CHECK(truncated.code == 1);
  CHECK(truncated.err.find("a/model.safetensors: at byte ") != std::string::npos);
}

}  // namespace troupe::cli::test
