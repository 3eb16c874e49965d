#include "case.hpp"

#include <troupe/tensor/op_info.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace troupe;

namespace {

class AttributeVisitor : public FieldVisitor {
 public:
  using FieldVisitor::field;
  void field(std::string_view, Ref<ActorCell>&) override { FAIL("an op holds an address"); }
  void field(std::string_view, Bytes&) override { FAIL("an op holds bytes"); }
  void local(std::string_view) override { FAIL("an op cannot leave the process"); }
};

/// Writes the fields that it is shown as texts, then reads them back in the same order.
class Tape final : public AttributeVisitor {
 public:
  void rewind() { reading_ = true; }
  [[nodiscard]] bool spent() const { return at_ == texts_.size(); }

  using AttributeVisitor::field;
  void field(std::string_view name, bool& value) override { pass(name, value); }
  void field(std::string_view name, std::int64_t& value) override { pass(name, value); }
  void field(std::string_view name, std::uint64_t& value) override { pass(name, value); }
  void field(std::string_view name, double& value) override { pass(name, value); }
  void field(std::string_view name, std::string& value) override {
    if (reading_) {
      REQUIRE(texts_.at(at_).first == name);
      value = texts_[at_++].second;
    } else {
      texts_.emplace_back(name, value);
    }
  }
  void list_length(std::string_view name, std::uint64_t& length) override { pass(name, length); }

 private:
  template <class T>
  void pass(std::string_view name, T& value) {
    if (!reading_) {
      texts_.emplace_back(name, std::string(reinterpret_cast<const char*>(&value), sizeof value));
      return;
    }
    REQUIRE(at_ < texts_.size());
    CHECK(texts_[at_].first == name);
    REQUIRE(texts_[at_].second.size() == sizeof value);
    std::memcpy(&value, texts_[at_++].second.data(), sizeof value);
  }

  bool reading_ = false;
  std::size_t at_ = 0;
  std::vector<std::pair<std::string, std::string>> texts_;
};

/// Changes one field, or all, to something that it was not.
class Change final : public AttributeVisitor {
 public:
  static constexpr std::size_t all = ~std::size_t{0};
  explicit Change(std::size_t which) : which_(which) {}
  [[nodiscard]] std::size_t seen() const { return seen_; }

  using AttributeVisitor::field;
  void field(std::string_view, bool& value) override {
    if (mine()) value = !value;
  }
  void field(std::string_view name, std::int64_t& value) override {
    // A list's places beyond its default have no value yet.
    if (mine()) value = name == "dim" && which_ == all ? 3 : value ^ 1;
  }
  void field(std::string_view, std::uint64_t& value) override {
    if (mine()) value += 1;
  }
  void field(std::string_view, double& value) override {
    if (mine()) value = std::isfinite(value) ? value + 0.5 : 2.5;
  }
  void field(std::string_view, std::string& value) override {
    if (mine()) value += "x";
  }
  void list_length(std::string_view, std::uint64_t& length) override {
    if (mine()) length += 1;
  }

 private:
  [[nodiscard]] bool mine() { return seen_++ == which_ || which_ == all; }

  std::size_t which_;
  std::size_t seen_ = 0;
};

template <class Op>
void check_attributes() {
  INFO(Op::name);
  const OpInfo& info = OpInfoOf<Op>::info;
  const Op plain{};
  Op count{};
  Change look(Change::all - 1);
  info.visit(&count, look);
  CHECK((look.seen() == 0) == std::is_empty_v<Op>);
  CHECK(info.equal(&plain, &count));

  // Each field makes a difference, so none is missing from the comparison.
  for (std::size_t i = 0; i < look.seen(); ++i) {
    Op other{};
    Change change(i);
    info.visit(&other, change);
    CHECK_FALSE(info.equal(&plain, &other));
  }
  Op changed{};
  Change change(Change::all);
  info.visit(&changed, change);
  Tape tape;
  info.visit(&changed, tape);
  tape.rewind();
  Op read{};
  info.visit(&read, tape);
  CHECK(tape.spent());
  CHECK(info.equal(&changed, &read));
}

template <class... Ops>
void check_all(OpList<Ops...>) {
  (check_attributes<Ops>(), ...);
}

}  // namespace

// Goal: an op's attributes are all that its `fields` show. Method: each op of AllOps is changed
// field by field, written down and read back.
TEST_CASE("attributes survive a round trip through their fields", "[conformance]") {
  check_all(AllOps{});
}
