#pragma once

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/core/system.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe::testing {

/// What ended on one rank, in order.
///
/// Threads   the sink writes, the test reads.
class Endings {
 public:
  void add(cluster::CollectiveDone done);
  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] std::size_t failures() const;
  [[nodiscard]] cluster::CollectiveDone last() const;
  /// How each of a key ended; `REQUIRE`s that it ended once.
  [[nodiscard]] cluster::CollectiveDone once(cluster::CollectiveKey key) const;

 private:
  mutable std::mutex mutex_;
  std::vector<cluster::CollectiveDone> all_;
};

/// The actor that is told the ends.
[[nodiscard]] Address<cluster::CollectiveDone> spawn_sink(System& system, Endings& endings);

/// Ranks of one group that has been entered, connected by whatever is to be tested.
///
/// Its end must check that it leaves nothing behind.
class Carrier {
 public:
  virtual ~Carrier() = default;

  [[nodiscard]] virtual std::uint32_t ranks() const = 0;
  [[nodiscard]] virtual cluster::Collectives& rank(std::uint32_t rank) = 0;
  [[nodiscard]] virtual Address<cluster::CollectiveDone> sink(std::uint32_t rank) = 0;
  [[nodiscard]] virtual const Endings& endings(std::uint32_t rank) const = 0;
  /// Lets everything run until that is so; fails the test if it never is.
  virtual void run_until(const std::function<bool()>& done) = 0;
  /// The time on a rank's clock.
  [[nodiscard]] virtual std::int64_t now_ns(std::uint32_t rank) = 0;
  /// That rank's process dies; its endings mean nothing any more.
  virtual void lose(std::uint32_t rank) = 0;

  /// Runs until each rank that is not lost has so many endings.
  void run_until_ended(std::size_t count);

 protected:
  std::vector<bool> lost_;
};

/// Makes a carrier of so many ranks. Options are alike on all.
using MakeCarrier = std::function<std::unique_ptr<Carrier>(std::uint32_t, cluster::MeshOptions)>;

// The suite: what every carrier must do.

/// Reductions of each kind, dtype and size have the bits of the serial tree, on 1 … 9 ranks, begun
/// in another order on each.
void reductions_have_the_bits_of_the_serial_tree(const MakeCarrier& make);
/// Large ones too: 1 MiB and an element more or less.
void large_reductions_have_the_bits_of_the_serial_tree(const MakeCarrier& make);
/// The same shards give the same bits on any number of ranks.
void bits_depend_on_shards_alone(const MakeCarrier& make);
/// Gathered and broadcast bytes are those that were put in.
void bytes_arrive_as_they_were(const MakeCarrier& make);
/// A barrier does not end before all have begun it.
void a_barrier_holds_until_all_are_there(const MakeCarrier& make);
/// Whoever waits for a rank that does not call is told so, and so is that rank when it calls.
void deadlines_end_what_is_waited_for(const MakeCarrier& make);
/// A canceled operation ends on all ranks.
void cancel_ends_it_everywhere(const MakeCarrier& make);
/// When a rank dies all others are told, once for each operation.
void a_lost_rank_ends_all_operations(const MakeCarrier& make);
/// What ranks do not agree on is named.
void disagreements_are_named(const MakeCarrier& make);

}  // namespace troupe::testing
