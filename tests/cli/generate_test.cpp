#include "generate.hpp"

#include "training.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::cli::test {

TEST_CASE("generate goes on with a prompt, the same for the same seed", "[cli]") {
  const TextFixture troupe;
  REQUIRE(troupe(text_run + Words{"--untied", "--epochs", "4", "--out", "a"}).code == 0);
  const auto made = [&](const Words& more) {
    const Ended ended = troupe(Words{"generate", "a"} + more);
    CAPTURE(ended.err);
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
    return ended.out;
  };

  const std::string text = made({"--prompt", "The ", "--tokens", "60", "--seed", "1"});
  CAPTURE(text);
  CHECK(text.starts_with("The "));
  CHECK(text.size() == 4 + 60 + 1);
  CHECK(text.ends_with("\n"));
  CHECK(made({"--prompt", "The ", "--tokens", "60", "--seed", "1", "--threads", "1"}) == text);
  CHECK(made({"--prompt", "The ", "--tokens", "60", "--seed", "2"}) != text);

  // The likeliest bytes are words of the text, whatever the seed.
  const Words greedy = {"--prompt", "The ", "--tokens", "12", "--temperature", "0"};
  const std::string likeliest = made(greedy + Words{"--seed", "1"});
  CHECK(likeliest == made(greedy + Words{"--seed", "2"}));
  CHECK(small_text(4200).find(likeliest.substr(4, 5)) != std::string::npos);

  // Of a prompt longer than the context the last bytes count.
  const std::string end = "the whale and the sea ";
  const Words short_answer = {"--tokens", "20", "--temperature", "0"};
  const std::string with_more = made(short_answer + Words{"--prompt", "Nobody knows of " + end});
  CHECK(with_more.starts_with("Nobody knows of " + end));
  CHECK(
      with_more.substr(std::string("Nobody knows of ").size()) ==
      made(short_answer + Words{"--prompt", end}));
  CHECK(made({"--tokens", "20"}).size() == 21);
  // Bytes that are no text are shown as such, whether they were given or made.
  CHECK(made({"--prompt", "\xff\x1b", "--tokens", "1"}).starts_with("��"));
}

TEST_CASE("generate tells what it cannot do in one block", "[cli]") {
  const Fixture troupe;
  REQUIRE(
      troupe(small_run + Words{"--model", "mlp", "--epochs", "1", "--limit", "8", "--out", "b"})
          .code == 0);
  check_error(
      troupe({"generate", "b"}),
      1,
      "b is no language model: its mlp takes images [1, 8, 8]",
      "--data text:FILE");
  check_error(troupe({"generate", "nowhere"}), 1, "nowhere is not the folder of a run", "--out");
  check_error(troupe({"generate", "b", "--temperature", "-1"}), 2, "--temperature", "--help");
  check_error(troupe({"generate", "b", "--tokens", "0"}), 2, "--tokens", "--help");
  check_error(troupe({"generate", "b", "--top-k", "x"}), 2, "--top-k", "--help");
}

}  // namespace troupe::cli::test
