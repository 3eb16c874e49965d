#include "messages.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

namespace troupe::testing {
namespace {

/// Takes each message in another form, publicly.
class Forms final : public Actor<Number, Token, Fault> {
 public:
  static constexpr std::string_view name = "forms";
  explicit Forms(std::string& seen) : seen_(seen) {}
  void on(const Number&) { seen_ += 'n'; }
  void on(Token) { seen_ += 't'; }
  void on(Fault&& fault) {
    seen_ += fault.what;
    stop(Error(ErrorCode::file_io, "enough"));
  }

 private:
  std::string& seen_;
};

/// Sends to itself and spawns another while it is being built.
class Eager final : public Actor<Number> {
 public:
  explicit Eager(std::string& seen, int depth) : seen_(seen), ready_(false) {
    self().send(Number{depth});
    if (depth > 0) inner_ = system().spawn<Eager>(seen, depth - 1);
    ready_ = true;
  }

 private:
  friend ActorAccess;
  void on(const Number& number) { seen_ += ready_ ? std::to_string(number.value) : "early"; }
  std::string& seen_;
  bool ready_;
  Address<Number> inner_;
};

class Refuses final : public Actor<Number> {
 public:
  explicit Refuses(bool tells) {
    if (tells) self().send(Number{});
    throw Error(ErrorCode::invalid_argument, "not today");
  }

 private:
  friend ActorAccess;
  void on(const Number&) {}
};

}  // namespace

TEST_CASE("an actor takes messages by value, reference and rvalue", "[core]") {
  std::string seen;
  System system({.threads = 1});
  auto forms = system.spawn<Forms>(seen);
  CHECK(forms.cell()->name() == "forms");
  forms.send(Number{});
  forms.send(Token{});
  forms.send(Fault{"!"});
  forms.send(Token{});  // dropped: it stopped with the message before
  system.run_ready();
  CHECK(seen == "nt!");
  CHECK(forms.cell()->stopped());
}

TEST_CASE("what a constructor sends to itself is handled after it", "[core]") {
  std::string seen;
  System system({.threads = 1});
  auto eager = system.spawn<Eager>(seen, 2);
  system.run_ready();
  CHECK(seen.size() == 3);
  CHECK(seen.find("early") == std::string::npos);
}

TEST_CASE("a constructor that throws leaves nothing behind", "[core]") {
  System system({.threads = 1});
  CHECK_THROWS_AS(system.spawn<Refuses>(false), Error);
  CHECK_THROWS_AS(system.spawn<Refuses>(true), Error);
  system.run_ready();
  CHECK(system.actors_alive() == 0);
  CHECK(system.blocks_in_use() == 0);
}

TEST_CASE("a system ends after a constructor threw, named or not", "[core]") {
  const bool named = GENERATE(false, true);
  for (int i = 0; i < 3; ++i) {
    // Whoever takes what is left of the actor for one that lives tries for ever to end it.
    System system({.threads = 1});
    CHECK_THROWS_AS(system.spawn_named<Refuses>(named ? "refuses" : "", false), Error);
  }
}

TEST_CASE("an actor that stops in its constructor ends without a message", "[core]") {
  class Brief final : public Actor<Number> {
   public:
    Brief() { stop(); }

   private:
    friend ActorAccess;
    void on(const Number&) {}
  };
  System system({.threads = 1});
  auto brief = system.spawn<Brief>();
  system.run_ready();
  CHECK(brief.cell()->stopped());
  CHECK(system.actors_alive() == 0);
}

}  // namespace troupe::testing
