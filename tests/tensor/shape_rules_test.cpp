#include <troupe/core/error.hpp>
#include <troupe/tensor/shape_rules.hpp>

#include <catch2/catch_test_macros.hpp>

#include <functional>

namespace troupe {
namespace {

/// What a rule says against its argument, or "" when it lets it pass.
std::string refused(const std::function<void()>& rule) {
  try {
    rule();
    return "";
  } catch (const Error& error) {
    return error.message();
  }
}

const Meta matrix{DType::float32, {3, 4}};
const Meta indices{DType::int64, {3}};

}  // namespace

TEST_CASE("shape rules name the input, what it is and what it should be", "[tensor]") {
  CHECK(refused([] { require_rank(matrix, 2, "input", "[N, C]"); }) == "");
  CHECK(refused([] {
          require_rank(matrix, 4, "input", "[N, C, H, W]");
        }) == "'input' has shape [3, 4], but must have 4 dimensions, [N, C, H, W]");
  CHECK(refused([] {
          require_rank_at_least(indices, 2, "input", "[N, C, ...]");
        }) == "'input' has shape [3], but must have at least 2 dimensions, [N, C, ...]");
  CHECK(refused([] { require_shape(matrix, {3, 4}, "bias"); }) == "");
  CHECK(refused([] {
          require_shape(matrix, {4}, "bias");
        }) == "'bias' has shape [3, 4], but must have [4]");
}

TEST_CASE("dtype rules name the input and its dtype", "[tensor]") {
  CHECK(refused([] { require_floating(matrix, "input"); }) == "");
  CHECK(refused([] {
          require_floating(indices, "input");
        }) == "'input' is int64, but must be float32 or float64");
  CHECK(refused([] { require_floating({DType::bfloat16, {}}, "input"); }) != "");
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16, DType::float16})
    CHECK(refused([&] { require_factor({dtype, {}}, "a"); }) == "");
  CHECK(refused([] {
          require_factor(indices, "a");
        }) == "'a' is int64, but must be float32, float64, float16 or bfloat16");
  CHECK(refused([] { require_index(indices, "target"); }) == "");
  CHECK(refused([] {
          require_index(matrix, "target");
        }) == "'target' is float32, but holds indices and must be int64 or int32");
  CHECK(refused([] {
          require_same_dtype(indices, "b", matrix, "a");
        }) == "'b' is int64, but 'a' is float32");
  const Meta mixed[] = {matrix, {DType::float64, {4}}};
  CHECK(refused([&] {
          require_all_floating(mixed, {"input", "weight"});
        }) == "'weight' is float64, but 'input' is float32");
}

TEST_CASE("attributes out of range are refused by name", "[tensor]") {
  CHECK(refused([] { require_at_least(1, 1, "groups"); }) == "");
  CHECK(
      refused([] { require_at_least(0, 1, "groups"); }) == "'groups' is 0, but must be at least 1");
  CHECK(refused([] { require_each_at_least({1, 2}, 2, 1, "stride"); }) == "");
  CHECK(refused([] {
          require_each_at_least({1, 0}, 2, 1, "stride");
        }) == "'stride' is [1, 0], but must be 2 numbers of at least 1");
  CHECK(refused([] { require_each_at_least({1, 1, 1}, 2, 1, "stride"); }) != "");
  CHECK(refused([] {
          require_inputs(std::span(&matrix, 1), 2, 3);
        }) == "1 inputs were given; the op takes 2 to 3");
}

TEST_CASE("an update's inputs must be alike, and its scalars two doubles", "[tensor]") {
  const Meta scalars{DType::float64, {2}};
  const Meta good[] = {matrix, matrix, matrix, scalars};
  CHECK(refused([&] { require_update(good, 1); }) == "");
  const Meta shape[] = {matrix, indices, matrix, scalars};
  CHECK(refused([&] {
          require_update(shape, 1);
        }) == "'state 1' has shape [3], but must have [3, 4]");
  const Meta narrow[] = {matrix, matrix, {DType::float32, {2}}};
  CHECK(refused([&] { require_update(narrow, 0); }) != "");
}

// The formulas of torch.nn.MaxPool2d and of torch.nn.Conv2d.
TEST_CASE("windows are counted as PyTorch counts them", "[tensor]") {
  CHECK(window_places(28, 3, 1, 0, 1) == 26);
  CHECK(window_places(28, 3, 1, 1, 1) == 28);
  CHECK(window_places(7, 2, 2, 0, 1) == 3);
  CHECK(window_places(7, 2, 2, 0, 1, true) == 4);
  CHECK(window_places(5, 3, 2, 1, 1, true) == 3);
  CHECK(window_places(2, 1, 2, 0, 1, true) == 1);  // a second window would begin beyond the end
  CHECK(window_places(9, 3, 1, 0, 2) == 5);
  CHECK(refused([] {
          (void)window_places(2, 3, 1, 0, 1);
        }) == "a window of 3 elements does not fit into 2 with 0 of padding on each side");
  CHECK(rows_in({2, 3, 4}) == 6);
  CHECK(rows_in({4}) == 1);
  CHECK(pair_of({3}) == Dims{3, 3});
  CHECK(pair_of({3, 4}) == Dims{3, 4});
}

}  // namespace troupe
