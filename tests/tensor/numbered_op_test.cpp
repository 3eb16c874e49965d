#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/numbered_op.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <string>

using namespace troupe;

namespace {

/// Sets every whole number that it is shown to 3.
class Threes final : public FieldVisitor {
 public:
  using FieldVisitor::field;
  void field(std::string_view, bool&) override {}
  void field(std::string_view, std::int64_t& value) override { value = 3; }
  void field(std::string_view, std::uint64_t& value) override { value = 3; }
  void field(std::string_view, double&) override {}
  void field(std::string_view, std::string&) override {}
  void field(std::string_view, Ref<ActorCell>&) override {}
  void field(std::string_view, Bytes&) override {}
  void list_length(std::string_view, std::uint64_t&) override {}
};

}  // namespace

TEST_CASE("each op is found by its number, and by no other", "[tensor]") {
  test::Engine engine;
  for (const OpInfo* info : all_ops()) {
    const OpRef op = numbered_op(engine.system, info->id);
    REQUIRE(op);
    CHECK(&op->info() == info);
  }
  CHECK_FALSE(numbered_op(engine.system, OpId{0xffff}));
  CHECK_FALSE(numbered_op(engine.system, first_user_op));
}

TEST_CASE("what a visitor sets is an op of its own", "[tensor]") {
  test::Engine engine;
  const OpRef one = numbered_op(engine.system, Cumsum::id);
  const OpRef other = numbered_op(engine.system, Cumsum::id);
  Threes threes;
  set_attributes(*one, threes);
  CHECK(equal(*one, *make_op(Cumsum{{}, 3})));
  CHECK_FALSE(equal(*one, *other));
}
