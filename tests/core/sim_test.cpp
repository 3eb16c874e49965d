#include "messages.hpp"

#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>

#include <set>

namespace troupe::testing {
namespace {

/// Writes down who sent, in the order of arrival.
class Log final : public Actor<Number> {
 public:
  explicit Log(std::string& order) : order_(order) {}

 private:
  friend ActorAccess;
  void on(const Number& number) { order_ += static_cast<char>('a' + number.sender); }
  std::string& order_;
};

class Source final : public Actor<Token> {
 public:
  Source(Address<Number> to, std::uint32_t number) : to_(std::move(to)), number_(number) {}

 private:
  friend ActorAccess;
  void on(const Token& token) {
    to_.send(Number{0, number_});
    if (token.left > 0) self().send(Token{token.left - 1});
  }
  Address<Number> to_;
  std::uint32_t number_;
};

class Forever final : public Actor<Token> {
 private:
  friend ActorAccess;
  void on(const Token& token) { self().send(token); }
};

std::string order_of(std::uint64_t seed) {
  std::string order;
  sim::World world{seed};
  auto log = world.system().spawn<Log>(order);
  for (std::uint32_t i = 0; i < 5; ++i) world.system().spawn<Source>(log, i).send(Token{4});
  world.run_until_idle();
  return order;
}

}  // namespace

TEST_CASE("a seed fixes the schedule, and seeds explore many", "[core][simulation]") {
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::string order = order_of(seed);
    CHECK(order.size() == 25);
    CHECK(order == order_of(seed));
    orders.insert(order);
  }
  CHECK(orders.size() > 25);
}

TEST_CASE("a world that does not become idle says so", "[core][simulation]") {
  sim::World world{1};
  world.system().spawn<Forever>().send(Token{});
  CHECK_THROWS_AS(world.run_until_idle(1'000), Error);
}

TEST_CASE("waiting in a world is told of stalls at once", "[core][simulation]") {
  sim::World world{1};
  CHECK_THROWS_AS(world.system().wait_until([] { return false; }, "nothing"), Error);
}

}  // namespace troupe::testing
