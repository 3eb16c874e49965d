#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

TEST_CASE("a record owns upstream only where a gradient may be wanted", "[tensor]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{1, 2}, {2});
  const Tensor y = x + 1.0f;
  CHECK(y.record()->inputs().empty());
  CHECK_FALSE(y.requires_grad());
}

TEST_CASE("edges are numbered in the order of use", "[tensor]") {
  test::Engine engine;
  const Tensor start = Tensor::copy_of<float>(std::vector<float>{1}, {1});
  Awaiting leaf = make_awaiting(
      engine.device,
      start.meta(),
      engine.system
          .spawn<Node>(
              make_op(Identity{}),
              engine.device,
              std::span<Node::Source>{},
              std::size_t{1},
              0ull,
              0ull)
          .cell(),
      7,
      Where::here());
  const Tensor a = leaf.tensor * leaf.tensor;
  const Tensor b = leaf.tensor + 1.0f;
  CHECK(a.record()->inputs()[0].ordinal == 7);
  CHECK(a.record()->inputs()[1].ordinal == 8);
  CHECK(b.record()->inputs()[0].ordinal == 9);
  CHECK(a.record()->inputs()[0].keeps_value);        // mul reads its inputs again
  CHECK_FALSE(b.record()->inputs()[0].keeps_value);  // add does not
}

TEST_CASE("node and record of a binary op fit a budget", "[tensor]") {
  // ActorCell and body in one block, record with two edges and one output in another.
  const std::size_t node = sizeof(ActorCell) + sizeof(Node);
  const std::size_t record = sizeof(Record) + 2 * sizeof(Edge) + sizeof(Ref<SharedMeta>);
  CAPTURE(node, record);
  CHECK(node + record <= 300);
}
