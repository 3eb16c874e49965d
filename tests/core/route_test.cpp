#include "messages.hpp"

#include <troupe/core/monitor.hpp>
#include <troupe/core/route.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

namespace troupe::testing {
namespace {

/// Writes what it is shown as a list of numbers and texts, and reads it back in the same order.
class Tape final : public FieldVisitor {
 public:
  explicit Tape(bool reading) : reading_(reading) {}
  void rewind() {
    reading_ = true;
    at_ = 0;
  }

  using FieldVisitor::field;
  void field(std::string_view, bool& value) override { number(value); }
  void field(std::string_view, std::int64_t& value) override { number(value); }
  void field(std::string_view, std::uint64_t& value) override { number(value); }
  void field(std::string_view, double& value) override { number(value); }
  void field(std::string_view, std::string& value) override {
    if (reading_)
      value = texts_.at(at_++);
    else
      texts_.push_back(value);
  }
  void list_length(std::string_view, std::uint64_t& length) override { number(length); }

 private:
  template <class T>
  void number(T& value) {
    if (reading_)
      value = static_cast<T>(std::stoll(texts_.at(at_++)));
    else
      texts_.push_back(std::to_string(static_cast<long long>(value)));
  }

  bool reading_;
  std::size_t at_ = 0;
  std::vector<std::string> texts_;
};

/// Takes numbers and faults by their ids to an actor of another system.
class Wire final : public Route {
 public:
  explicit Wire(Address<Number, Fault> there) : there_(std::move(there)) {}

  void send(ActorCell&, Message& message) override {
    Tape tape(false);
    message.type().visit(message, tape);
    tape.rewind();
    if (message.type().id == Number::id) {
      Number number;
      number.fields(tape);
      there_.send(number);
    } else if (message.type().id == Fault::id) {
      Fault fault;
      fault.fields(tape);
      there_.send(std::move(fault));
    } else {
      throw Error(ErrorCode::unsupported, "a frame of unknown type");
    }
  }

 private:
  Address<Number, Fault> there_;
};

class Recorder final : public Actor<Number, Fault> {
 public:
  Recorder(std::vector<std::int64_t>& numbers, std::vector<std::string>& texts)
      : numbers_(numbers), texts_(texts) {}

 private:
  friend ActorAccess;
  void on(const Number& number) { numbers_.push_back(number.value); }
  void on(Fault&& fault) { texts_.push_back(std::move(fault.what)); }
  std::vector<std::int64_t>& numbers_;
  std::vector<std::string>& texts_;
};

class Watcher final : public Actor<Down> {
 public:
  explicit Watcher(int& downs) : downs_(downs) {}

 private:
  friend ActorAccess;
  void on(const Down& down) { downs_ += down.failed ? 1 : 100; }
  int& downs_;
};

}  // namespace

TEST_CASE("a remote address takes messages to another system, in order", "[core]") {
  std::vector<std::int64_t> numbers;
  std::vector<std::string> texts;
  sim::World here{1};
  sim::World there{2};
  {
    auto recorder = there.system().spawn<Recorder>(numbers, texts);
    Address<Number, Fault> remote =
        remote_address<Number, Fault>(here.system(), std::make_shared<Wire>(recorder));
    const Address<Number> narrow = remote;  // nobody can tell it from a local one
    for (std::int64_t i = -5; i < 20; ++i) narrow.send(Number{i});
    remote.send(Fault{"text"});
  }
  here.run_until_idle();
  there.run_until_idle();
  REQUIRE(numbers.size() == 25);
  for (std::int64_t i = -5; i < 20; ++i) CHECK(numbers[static_cast<std::size_t>(i + 5)] == i);
  CHECK(texts == std::vector<std::string>{"text"});
  CHECK(here.system().actors_alive() == 0);
  CHECK(there.system().actors_alive() == 0);
}

TEST_CASE("a route that fails is reported to monitors", "[core]") {
  int downs = 0;
  sim::World here{1};
  auto remote =
      remote_address<Question>(here.system(), std::make_shared<Wire>(Address<Number, Fault>()));
  monitor(remote, here.system().spawn<Watcher>(downs));
  remote.send(Question{});
  here.run_until_idle();
  CHECK(downs == 1);
}

}  // namespace troupe::testing
