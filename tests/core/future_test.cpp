#include "messages.hpp"

#include <troupe/core/future.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

namespace troupe::testing {
namespace {

/// Takes a future's answer, or the news that there is none.
class Taker final : public Actor<Number, Unanswered> {
 public:
  Taker(std::int64_t& answer, bool& unanswered) : answer_(answer), unanswered_(unanswered) {}

 private:
  friend ActorAccess;
  void on(const Number& number) { answer_ = number.value; }
  void on(const Unanswered&) { unanswered_ = true; }
  std::int64_t& answer_;
  bool& unanswered_;
};

/// Keeps questions for ever, until it fails.
class Hoarder final : public Actor<Question, Fault> {
 public:
  std::vector<Question>& questions() { return questions_; }

 private:
  friend ActorAccess;
  void on(Question question) { questions_.push_back(std::move(question)); }
  void on(Fault&& fault) { throw Error(ErrorCode::file_io, fault.what); }
  std::vector<Question> questions_;
};

Question question(Address<Number> to) { return Question{std::move(to)}; }

}  // namespace

TEST_CASE("ask returns the answer", "[core]") {
  const unsigned threads = GENERATE(1u, 2u);
  System system({.threads = threads});
  auto adder = system.spawn<Adder>();
  adder.send(Number{40});
  adder.send(Number{2});
  CHECK(ask<Number>(adder, question).get().value == 42);
}

TEST_CASE("a future fails when who was asked ends without an answer", "[core]") {
  const unsigned threads = GENERATE(1u, 2u);
  System system({.threads = threads});
  auto hoarder = system.spawn<Hoarder>();
  auto future = ask<Number>(hoarder, question);
  hoarder.send(Fault{"no"});
  try {
    future.get();
    FAIL("an answer that nobody sent");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::actor_down);
  }
}

TEST_CASE("a future nobody can settle is reported as a stall", "[core]") {
  System system({.threads = 2});
  auto hoarder = system.spawn_named<Hoarder>("the hoarder");
  auto future = ask<Number>(hoarder, question);
  try {
    future.get();
    FAIL("an answer that nobody sent");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::stalled);
    CHECK(error.message().find("the hoarder") != std::string::npos);
    CHECK(error.message().find("the answer number of the hoarder") != std::string::npos);
  }
}

TEST_CASE("then passes the answer on, early or late", "[core][simulation]") {
  const auto seed = GENERATE(take(50, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  System& system = world.system();
  std::int64_t answer = 0;
  bool unanswered = false;
  auto adder = system.spawn<Adder>();
  auto taker = system.spawn<Taker>(answer, unanswered);
  adder.send(Number{7});
  auto future = ask<Number>(adder, question);
  if (seed % 2) world.run_until_idle();
  future.then(taker);
  world.run_until_idle();
  CHECK(answer == 7);
  CHECK_FALSE(unanswered);
}

TEST_CASE("a future held by the one who takes its answer leaves nothing behind", "[core]") {
  const bool answered = GENERATE(false, true);
  System system({.threads = 1});
  {
    class Patient final : public Actor<Number, Unanswered, Question> {
     public:
      explicit Patient(Address<Question, Fault> whom) : whom_(std::move(whom)) {}

     private:
      friend ActorAccess;
      void on(const Question&) {
        future_ = ask<Number>(whom_, question);
        future_.then(self());
      }
      void on(const Number&) {}
      void on(const Unanswered&) {}
      Address<Question, Fault> whom_;
      Future<Number> future_;
    };
    auto hoarder = system.spawn<Hoarder>();
    system.spawn<Patient>(hoarder).send(Question{});
    system.run_ready();
    if (answered) {
      ActorAccess::body_if<Hoarder>(*hoarder.cell())->questions()[0].to.send(Number{1});
      system.run_ready();
    }
    hoarder.send(Fault{"no"});
    system.run_ready();
  }
  CHECK(system.actors_alive() == 0);
  CHECK(system.blocks_in_use() == 0);
}

TEST_CASE("an answer is taken once", "[core]") {
  sim::World world{3};
  std::int64_t answer = 0;
  bool unanswered = false;
  auto taker = world.system().spawn<Taker>(answer, unanswered);
  auto adder = world.system().spawn<Adder>();
  auto future = ask<Number>(adder, question);
  future.then(taker);
  world.run_until_idle();
  CHECK_THROWS_AS(future.get(), Error);
}

TEST_CASE("then passes on that there is no answer", "[core]") {
  sim::World world{3};
  System& system = world.system();
  std::int64_t answer = 0;
  bool unanswered = false;
  auto taker = system.spawn<Taker>(answer, unanswered);
  auto hoarder = system.spawn<Hoarder>();
  auto early = ask<Number>(hoarder, question);
  early.then(taker);
  hoarder.send(Fault{"no"});
  world.run_until_idle();
  CHECK(unanswered);
  unanswered = false;
  auto late = ask<Number>(hoarder, question);
  world.run_until_idle();
  late.then(taker);
  world.run_until_idle();
  CHECK(unanswered);
}

}  // namespace troupe::testing
