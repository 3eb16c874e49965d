#include "progress_line.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <string>

namespace troupe::cli {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::string line(const ProgressState& state, std::size_t width = 200) {
  std::array<char, 512> buffer;
  return std::string(format_progress(state, width, buffer));
}

TEST_CASE("the line is tqdm's", "[cli]") {
  CHECK(
      line(
          {.label = "Epoch 1/5",
           .done = 211,
           .total = 469,
           .seconds = 211 / 190.3,
           .loss = 0.4312}) ==
      "Epoch 1/5  45%|████▌     | 211/469 [00:01<00:01, 190.3it/s, loss=0.4312]");
  CHECK(
      line({.label = "Epoch 1/5", .done = 469, .total = 469, .seconds = 3725, .loss = 1.5}) ==
      "Epoch 1/5 100%|██████████| 469/469 [1:02:05<00:00, 7.94s/it, loss=1.5000]");
}

TEST_CASE("before the first step nothing is divided by zero", "[cli]") {
  CHECK(
      line({.label = "Epoch 1/5", .done = 0, .total = 469, .seconds = 0}) ==
      "Epoch 1/5   0%|          | 0/469 [00:00<?, ?it/s]");
}

// Goal: after a resume in the middle of an epoch, rate and time left are those of this run.
TEST_CASE("what was done before the resume does not count for the rate", "[cli]") {
  CHECK(
      line({.label = "Epoch 2/5", .done = 310, .total = 400, .seconds = 1, .before = 300}) ==
      "Epoch 2/5  78%|███████▊  | 310/400 [00:01<00:09, 10.0it/s]");
  CHECK(
      line({.label = "Epoch 2/5", .done = 300, .total = 400, .seconds = 0, .before = 300}) ==
      "Epoch 2/5  75%|███████▌  | 300/400 [00:00<?, ?it/s]");
}

TEST_CASE("a loss that is no number is shown as such", "[cli]") {
  for (const double loss : {nan, -nan})
    CHECK(
        line({.label = "E", .done = 1, .total = 2, .seconds = 1, .loss = loss}) ==
        "E  50%|█████     | 1/2 [00:01<00:01, 1.0it/s, loss=nan]");
  CHECK(line({.label = "E", .done = 1, .total = 2, .seconds = 1, .loss = -std::log(0.0)})
            .ends_with("loss=inf]"));
}

TEST_CASE("only a finished epoch is shown as 100%", "[cli]") {
  const std::string almost = line({.label = "E", .done = 9999, .total = 10000, .seconds = 1});
  CHECK(almost.starts_with("E  99%|█████████▉| 9999/10000 "));
}

TEST_CASE("a narrow terminal gets what fits", "[cli]") {
  const ProgressState state{
      .label = "Epoch 1/5", .done = 211, .total = 469, .seconds = 211 / 190.3, .loss = 0.4312};
  CHECK(line(state, 72).find("|████▌     |") != std::string::npos);
  CHECK(line(state, 71) == "Epoch 1/5  45% 211/469 [00:01<00:01, 190.3it/s, loss=0.4312]");
  CHECK(line(state, 40) == "Epoch 1/5  45% 211/469");
  CHECK(line(state, 9) == "Epoch 1/5");
  CHECK(line(state, 0).empty());
}

TEST_CASE("a small buffer cuts the line and is not overrun", "[cli]") {
  std::array<char, 16> buffer;
  const auto text = format_progress(
      {.label = "Epoch 1/5", .done = 1, .total = 2, .seconds = 1, .loss = 1}, 200, buffer);
  CHECK(text.size() <= 15);
}

TEST_CASE("a line is drawn ten times a second, and at the end", "[cli]") {
  Redraw redraw;
  CHECK(redraw.due(0, false));
  CHECK_FALSE(redraw.due(99'999'999, false));
  CHECK(redraw.due(100'000'000, false));
  CHECK_FALSE(redraw.due(150'000'000, false));
  CHECK(redraw.due(150'000'001, true));
}

}  // namespace
}  // namespace troupe::cli
