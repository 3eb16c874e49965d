#include "collectives_suite.hpp"

#include <troupe/cluster/collectives.hpp>
#include <troupe/core/system.hpp>

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <utility>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

/// Keeps what it is asked to begin: what a carrier gets to see.
class Kept final : public Collectives {
 public:
  explicit Kept(std::uint32_t rank = 0, std::uint32_t ranks = 3) : rank_(rank), ranks_(ranks) {}

  [[nodiscard]] std::uint32_t rank() const noexcept override { return rank_; }
  [[nodiscard]] std::uint32_t ranks() const noexcept override { return ranks_; }
  void cancel(CollectiveKey) override {}

  std::vector<CollectiveCall> calls;

 protected:
  void begin(CollectiveCall call) override { calls.push_back(std::move(call)); }

 private:
  std::uint32_t rank_;
  std::uint32_t ranks_;
};

Bytes zeros(std::size_t bytes) { return Bytes::copy_of(std::vector<std::byte>(bytes)); }

}  // namespace

TEST_CASE("a collective is refused at the call where no group could do it", "[cluster]") {
  System system({.threads = 1});
  Endings endings;
  const auto to = spawn_sink(system, endings);
  Kept kept;
  Kept outside(0, 0);
  const auto refused = [](ErrorCode code, const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      INFO(error.what());
      CHECK(error.code() == code);
      CHECK_FALSE(error.op().empty());
      return;
    }
    FAIL("it was not refused");
  };
  using enum ErrorCode;
  refused(unsupported, [&] { kept.all_reduce({}, zeros(8), {DType::uint8}, to); });
  refused(unsupported, [&] { kept.reduce_scatter({}, {zeros(8)}, {DType::float16}, to); });
  refused(shape_mismatch, [&] { kept.all_reduce({}, zeros(6), {}, to); });
  refused(invalid_argument, [&] { kept.all_reduce({}, zeros(8), {.shards = 2}, to); });
  refused(invalid_argument, [&] { kept.all_reduce({}, zeros(8), {.shards = 1U << 20}, to); });
  refused(invalid_argument, [&] { kept.all_reduce({}, std::vector<Bytes>{}, {}, to); });
  refused(invalid_argument, [&] { kept.all_reduce({}, {zeros(8), zeros(8)}, {}, to); });
  refused(invalid_argument, [&] { kept.all_reduce({}, zeros(8), {}, {}); });
  refused(invalid_argument, [&] { outside.all_reduce({}, zeros(8), {}, to); });
  refused(invalid_argument, [&] { outside.barrier({}, to); });
  refused(invalid_argument, [&] { kept.broadcast({}, 3, zeros(8), 8, to); });
  refused(shape_mismatch, [&] { kept.broadcast({}, 0, zeros(8), 9, to); });
  refused(invalid_argument, [&] { kept.broadcast({}, 1, {}, std::uint64_t{1} << 50, to); });
  const Bytes endless({static_cast<const std::byte*>(nullptr), std::size_t{1} << 39}, nullptr);
  refused(invalid_argument, [&] { kept.all_gather({}, endless, to); });
  // Two subtrees of different sizes: rank 1 of 3 carries shards [2, 5) of 8.
  Kept second(1, 3);
  refused(shape_mismatch, [&] { second.all_reduce({}, {zeros(8), zeros(12)}, {.shards = 8}, to); });
  CHECK(kept.calls.empty());
  CHECK(second.calls.empty());
}

TEST_CASE("a carrier is told what was asked for", "[cluster]") {
  System system({.threads = 1});
  Endings endings;
  const auto to = spawn_sink(system, endings);
  Kept kept(1, 3);
  kept.all_reduce({4, 2}, zeros(8), {DType::float64, Reduction::max, 0, 99}, to);
  kept.reduce_scatter({5, 2}, {zeros(4), zeros(4)}, {.shards = 8}, to);
  kept.broadcast({6, 0}, 0, zeros(3), 70, to, 5);
  REQUIRE(kept.calls.size() == 3);
  CHECK(kept.calls[0].kind == CollectiveKind::all_reduce);
  CHECK(kept.calls[0].key == CollectiveKey{4, 2});
  CHECK(kept.calls[0].dtype == DType::float64);
  CHECK(kept.calls[0].reduction == Reduction::max);
  CHECK(kept.calls[0].shards == 3);
  CHECK(kept.calls[0].bytes == 8);
  CHECK(kept.calls[0].deadline_ns == 99);
  CHECK(kept.calls[1].inputs.size() == 2);
  CHECK(kept.calls[1].bytes == 4);
  CHECK(kept.calls[2].inputs.empty());
  CHECK(kept.calls[2].bytes == 70);
}

TEST_CASE("parts are whole elements, neighbors, and nearly equal", "[cluster]") {
  for (const std::size_t element : {1, 2, 8})
    for (std::uint64_t elements = 0; elements < 30; ++elements)
      for (std::uint32_t parts = 1; parts < 12; ++parts) {
        std::uint64_t next = 0;
        for (std::uint32_t part = 0; part < parts; ++part) {
          const Stretch stretch = part_of(elements * element, element, part, parts);
          CHECK(stretch.begin == next);
          CHECK(stretch.bytes % element == 0);
          CHECK(stretch.bytes / element >= elements / parts);
          CHECK(stretch.bytes / element <= (elements + parts - 1) / parts);
          next += stretch.bytes;
        }
        CHECK(next == elements * element);
      }
}

}  // namespace troupe::testing
