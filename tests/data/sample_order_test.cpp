#include "sample_order.hpp"

#include "philox.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

namespace troupe::data {
namespace {

std::vector<std::uint32_t> order_of(std::uint64_t seed, std::int64_t epoch, std::size_t count) {
  std::vector<std::uint32_t> order(count);
  shuffle_samples(seed, epoch, order);
  return order;
}

// The known answers that the authors of Philox publish with their code, for philox4x32 of 10
// rounds.
TEST_CASE("Philox gives the published numbers", "[data]") {
  PhiloxDraws zeros(0, 0);
  CHECK(zeros.next() == 0x6627e8d5);
  CHECK(zeros.next() == 0xe169c58d);
  CHECK(zeros.next() == 0xbc57ac4c);
  CHECK(zeros.next() == 0x9b00dbd8);
  PhiloxDraws ones(~0ull, ~0ull, ~0ull);
  CHECK(ones.next() == 0x408f276d);
  CHECK(ones.next() == 0x41c83b0e);
  CHECK(ones.next() == 0xa20bc7c6);
  CHECK(ones.next() == 0x6d5451fd);
}

TEST_CASE("an epoch visits every sample once", "[data]") {
  for (const std::size_t count : {0, 1, 2, 1000}) {
    std::vector<std::uint32_t> order = order_of(7, 3, count);
    std::sort(order.begin(), order.end());
    std::vector<std::uint32_t> all(count);
    std::iota(all.begin(), all.end(), 0u);
    CHECK(order == all);
  }
}

TEST_CASE("the order depends on seed and epoch alone", "[data]") {
  CHECK(order_of(7, 3, 1000) == order_of(7, 3, 1000));
  CHECK(order_of(7, 3, 1000) != order_of(8, 3, 1000));
  CHECK(order_of(7, 3, 1000) != order_of(7, 4, 1000));
}

// Goal: no place prefers a sample. Method: where sample 0 lands in 4,000 orders of 4, against 1,000
// in each place; 5 standard deviations of a binomial count are 137.
TEST_CASE("every place is as likely as the others", "[data]") {
  int landed[4] = {};
  for (int epoch = 0; epoch < 4000; ++epoch) {
    const auto order = order_of(1, epoch, 4);
    ++landed[std::find(order.begin(), order.end(), 0u) - order.begin()];
  }
  for (const int count : landed) CHECK(std::abs(count - 1000) < 137);
}

}  // namespace
}  // namespace troupe::data
