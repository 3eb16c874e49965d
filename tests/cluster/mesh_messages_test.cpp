#include "collectives_suite.hpp"
#include "reference.hpp"

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/cluster/mesh_messages.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

/// Keeps the fields that it is shown, and gives them to another message of the type.
class Tape final : public FieldVisitor {
 public:
  using FieldVisitor::field;
  void field(std::string_view, bool& value) override { pass(value); }
  void field(std::string_view, std::int64_t& value) override { pass(value); }
  void field(std::string_view, std::uint64_t& value) override { pass(value); }
  void field(std::string_view, double& value) override { pass(value); }
  void field(std::string_view, std::string& value) override { pass(value); }
  void field(std::string_view, Ref<ActorCell>& address) override { pass(address); }
  void field(std::string_view, Bytes& bytes) override { pass(bytes); }
  void local(std::string_view name) override { FAIL(name << " does not travel"); }
  void list_length(std::string_view, std::uint64_t& length) override { pass(length); }

  void turn_over() { reading_ = true; }

 private:
  template <class T>
  void pass(T& value) {
    if (reading_)
      value = std::get<T>(fields_.at(next_++));
    else
      fields_.emplace_back(value);
  }

  std::vector<
      std::variant<bool, std::int64_t, std::uint64_t, double, std::string, Ref<ActorCell>, Bytes>>
      fields_;
  std::size_t next_ = 0;
  bool reading_ = false;
};

/// The message as it would arrive elsewhere.
template <class M>
M carried(M message) {
  Tape tape;
  message.fields(tape);
  tape.turn_over();
  M arrived{};
  arrived.fields(tape);
  return arrived;
}

}  // namespace

TEST_CASE("all of a piece travels", "[cluster]") {
  MeshPiece piece;
  piece.epoch = 1ULL << 40;
  piece.from = 3;
  piece.key = {1ULL << 50, 7};
  piece.terms.kind = CollectiveKind::broadcast;
  piece.terms.parted = true;
  piece.terms.dtype = DType::bfloat16;
  piece.terms.reduction = Reduction::min;
  piece.terms.shards = 11;
  piece.terms.root = 2;
  piece.terms.bytes = 1ULL << 39;
  piece.terms.piece_bytes = 4096;
  piece.phase = MeshPhase::result;
  piece.index = 1ULL << 33;
  piece.data = some_values(DType::uint8, 100, 1, 1);
  const MeshPiece arrived = carried(piece);
  CHECK(arrived.epoch == piece.epoch);
  CHECK(arrived.from == piece.from);
  CHECK(arrived.key == piece.key);
  CHECK(arrived.terms == piece.terms);
  CHECK(arrived.phase == piece.phase);
  CHECK(arrived.index == piece.index);
  CHECK(arrived.data.span().data() == piece.data.span().data());
}

TEST_CASE("all of what ranks tell each other travels", "[cluster]") {
  const MeshTaken taken = carried(MeshTaken{5, 6, {7, 8}, MeshPhase::result, 1ULL << 35});
  CHECK(taken.epoch == 5);
  CHECK(taken.from == 6);
  CHECK(taken.key == CollectiveKey{7, 8});
  CHECK(taken.phase == MeshPhase::result);
  CHECK(taken.pieces == 1ULL << 35);

  const MeshAbort abort = carried(MeshAbort{5, 6, {7, 8}, Error(ErrorCode::overload, "too much")});
  CHECK(abort.epoch == 5);
  CHECK(abort.from == 6);
  CHECK(abort.key == CollectiveKey{7, 8});
  CHECK(abort.reason.code() == ErrorCode::overload);
  CHECK(abort.reason.message() == "too much");

  const CollectiveDone done = carried(CollectiveDone{
      {7, 8},
      CollectiveKind::barrier,
      true,
      Error(ErrorCode::fenced, "old"),
      some_values(DType::uint8, 5, 1, 1)});
  CHECK(done.key == CollectiveKey{7, 8});
  CHECK(done.kind == CollectiveKind::barrier);
  CHECK(done.failed);
  CHECK(done.error.code() == ErrorCode::fenced);
  CHECK(done.result.size() == 5);
}

TEST_CASE("a group travels with its addresses", "[cluster]") {
  System system({.threads = 1});
  const MeshCollectives one(system);
  const MeshCollectives two(system);
  const Group group = carried(Group{9, 1, {{"one", one.address()}, {"two", two.address()}}});
  CHECK(group.epoch == 9);
  CHECK(group.rank == 1);
  REQUIRE(group.members.size() == 2);
  CHECK(group.members[1].name == "two");
  CHECK(group.members[1].address == two.address());
}

TEST_CASE("what other processes may send is known by number, and no more", "[cluster]") {
  CHECK(CollectiveMessages::find(MeshPiece::id) == &message_type<MeshPiece>);
  CHECK(CollectiveMessages::find(MessageId{510}) == nullptr);
}

}  // namespace troupe::testing
