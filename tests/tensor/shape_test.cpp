#include <troupe/core/error.hpp>
#include <troupe/tensor/shape.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

TEST_CASE("broadcasting follows NumPy", "[tensor]") {
  CHECK(broadcast({3, 1}, {4}) == Shape{3, 4});
  CHECK(broadcast({}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast({0}, {1}) == Shape{0});
  CHECK(broadcast({5, 1, 7}, {6, 1}) == Shape{5, 6, 7});
  CHECK_THROWS_AS(broadcast({3}, {4}), Error);
  CHECK(broadcasts_to({1, 3}, {2, 3}));
  CHECK_FALSE(broadcasts_to({2, 3}, {3}));
  CHECK_FALSE(broadcasts_to({1}, {-5}));
  CHECK_FALSE(broadcasts_to({3}, {-2, 3}));
}

TEST_CASE("axes count from either end", "[tensor]") {
  CHECK(normalize_axis(-1, 3) == 2);
  CHECK_THROWS_AS(normalize_axis(3, 3), Error);
  CHECK_THROWS_AS(normalize_axis(0, 0), Error);
  CHECK(normalize_axes({-1, 0}, 3) == Dims{0, 2});
  CHECK(normalize_axes({}, 2) == Dims{0, 1});
  CHECK_THROWS_AS(normalize_axes({1, -1}, 2), Error);
  CHECK(normalize_axes({0}, 0).empty());  // a scalar's one axis, in PyTorch
  CHECK(normalize_axes({-1}, 0).empty());
  CHECK_THROWS_AS(normalize_axes({1}, 0), Error);
  CHECK_THROWS_AS(normalize_axes({0, -1}, 0), Error);
  check_axis(-1, 0);
  CHECK_THROWS_AS(check_axis(-2, 0), Error);
  CHECK(reduced_shape({2, 3, 4}, {0, 2}, false) == Shape{3});
  CHECK(reduced_shape({2, 3, 4}, {0, 2}, true) == Shape{1, 3, 1});
}

TEST_CASE("dims hold eight places and refuse a ninth", "[tensor]") {
  Dims dims{1, 2, 3, 4, 5, 6, 7, 8};
  CHECK_THROWS_AS(dims.push_back(9), Error);
  dims.erase(0);
  dims.insert(3, 99);
  CHECK(dims == Dims{2, 3, 4, 99, 5, 6, 7, 8});
  CHECK(contiguous_strides({2, 3, 4}) == Dims{12, 4, 1});
  CHECK(elements_in({}) == 1);
  CHECK(to_string(Dims{2, -1}) == "[2, -1]");
}
