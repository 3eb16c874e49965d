#pragma once

#include <troupe/core/monitor.hpp>
#include <troupe/core/system.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::testing {

/// A number, with the one who sent it and its place among that one's messages.
struct Number {
  static constexpr MessageId id{70'000};
  static constexpr std::string_view name = "number";

  std::int64_t value = 0;
  std::uint32_t sender = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("value", value);
    visit.field("sender", sender);
  }
};

/// Passed from actor to actor until nothing is left.
struct Token {
  static constexpr MessageId id{70'001};
  static constexpr std::string_view name = "token";

  std::int64_t left = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("left", left);
  }
};

/// Makes its receiver throw.
struct Fault {
  static constexpr MessageId id{70'002};
  static constexpr std::string_view name = "fault";

  std::string what;

  template <class V>
  void fields(V& visit) {
    visit.field("what", what);
  }
};

/// Asks for a `Number`.
struct Question {
  static constexpr MessageId id{70'003};
  static constexpr std::string_view name = "question";

  Address<Number> to;

  template <class V>
  void fields(V& visit) {
    visit.field("to", to);
  }
};

/// Something whose destruction can be counted.
struct Held {
  static constexpr MessageId id{70'004};
  static constexpr std::string_view name = "held";

  std::shared_ptr<int> what;

  template <class V>
  void fields(V& visit) {
    visit.local("what");
  }
};

/// Adds up what it gets, and answers what it has.
class Adder final : public Actor<Number, Question> {
 public:
  static constexpr std::string_view name = "adder";

 private:
  friend ActorAccess;
  void on(const Number& number) { total_ += number.value; }
  void on(Question question) { question.to.send(Number{total_}); }

  std::int64_t total_ = 0;
};

/// Throws when told to; otherwise forwards.
class Faulty final : public Actor<Fault, Number> {
 public:
  explicit Faulty(Address<Number> forward_to = {}) : forward_to_(std::move(forward_to)) {}

 private:
  friend ActorAccess;
  void on(Fault&& fault) { throw Error(ErrorCode::invalid_argument, fault.what); }
  void on(Number number) {
    if (forward_to_) forward_to_.send(number);
  }
  Address<Number> forward_to_;
};

}  // namespace troupe::testing
