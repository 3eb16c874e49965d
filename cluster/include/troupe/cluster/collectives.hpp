#pragma once

#include <troupe/core/address.hpp>
#include <troupe/core/bytes.hpp>
#include <troupe/core/error.hpp>
#include <troupe/nn/shards.hpp>
#include <troupe/tensor/dtype.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace troupe::cluster {

/// What ranks do together; the numbers travel.
enum class CollectiveKind : std::uint8_t {
  all_reduce = 0,
  reduce_scatter = 1,
  all_gather = 2,
  broadcast = 3,
  barrier = 4,
};
/// Such as "all_reduce".
[[nodiscard]] std::string_view name_of(CollectiveKind kind) noexcept;

/// How values meet; the numbers travel. A NaN wins against any number in `max` and `min`; integers
/// wrap around in `sum`; bfloat16 is rounded at each node of the tree.
enum class Reduction : std::uint8_t { sum = 0, max = 1, min = 2 };
[[nodiscard]] std::string_view name_of(Reduction reduction) noexcept;

/// Whether values of this dtype are reduced: float32, float64, bfloat16, int32, int64.
[[nodiscard]] bool is_reducible(DType dtype) noexcept;

/// What ranks know an operation by, within an epoch: they may begin operations in any order, each
/// its own, and a key serves once.
struct CollectiveKey {
  std::uint64_t step = 0;
  std::uint32_t bucket = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("step", step);
    visit.field("bucket", bucket);
  }
  friend auto operator<=>(const CollectiveKey&, const CollectiveKey&) noexcept = default;
};

/// The end of an operation on this rank; comes once for each that was begun.
struct CollectiveDone {
  static constexpr MessageId id{500};
  static constexpr std::string_view name = "collective_done";

  CollectiveKey key;
  CollectiveKind kind = CollectiveKind::all_reduce;
  bool failed = false;
  Error error;   ///< if it failed; names operation, step and, where one is to blame, the peer
  Bytes result;  ///< if not

  template <class V>
  void fields(V& visit) {
    visit.field("key", key);
    visit.field("kind", kind);
    visit.field("failed", failed);
    visit.field("error", error);
    visit.field("result", result);
  }
  [[nodiscard]] std::uint64_t trace_key() const noexcept { return key.step; }
};

/// An operation as it was asked for, checked: what every carrier is given.
struct CollectiveCall {
  CollectiveKind kind = CollectiveKind::all_reduce;
  CollectiveKey key;
  DType dtype = DType::uint8;
  Reduction reduction = Reduction::sum;
  std::uint32_t shards = 0;  ///< leaves of the tree; set for reductions
  std::uint32_t root = 0;    ///< whose bytes a broadcast sends
  std::uint64_t bytes = 0;   ///< of each input; of what a broadcast sends, on every rank
  std::vector<Bytes> inputs;
  std::int64_t deadline_ns = 0;
  Address<CollectiveDone> to;
};

struct ReduceOptions {
  DType dtype = DType::float32;
  Reduction reduction = Reduction::sum;
  /// Logical shards, at least as many as ranks; 0: one for each rank.
  std::uint32_t shards = 0;
  /// On the system's clock; 0: the carrier's time-out from now.
  std::int64_t deadline_ns = 0;
};

/// What the ranks of a group do together, each through an object of its own. A call returns at
/// once, and its end comes as a message.
///
/// Threads   one at a time.
/// Order     operations of several ranks match by key alone.
/// Ends      each with one `CollectiveDone`: the result, or `timed_out` after its deadline,
///           `stopped` when it was canceled here or there, `peer_down`, `fenced` when the group
///           changed, `shape_mismatch` or `dtype_mismatch` where ranks disagree, `wire_corrupt`,
///           `overload`, `out_of_memory`.
/// Bits      depend on inputs and the number of shards: not on ranks, sizes of pieces, or arrival.
/// Memory    inputs are kept by reference until the end, and longer where they are on the way: what
///           they lie in must not be written while a `Bytes` of it lives.
/// Throws    `invalid_argument`, `unsupported` or `shape_mismatch` for what no group could do.
class Collectives {
 public:
  virtual ~Collectives() = default;

  [[nodiscard]] virtual std::uint32_t rank() const noexcept = 0;
  [[nodiscard]] virtual std::uint32_t ranks() const noexcept = 0;

  /// Every rank gets the sum of all shards. `inputs` are this rank's whole subtrees of the tree of
  /// `nn/shards.hpp`, each summed by it: `nn::whole_subtrees(shards, shards_of(rank, ranks,
  /// shards))`, from left to right; one, as a rule. All of one size, on all ranks.
  void all_reduce(
      CollectiveKey key,
      std::vector<Bytes> inputs,
      const ReduceOptions& how,
      Address<CollectiveDone> to);
  void all_reduce(
      CollectiveKey key, Bytes input, const ReduceOptions& how, Address<CollectiveDone> to) {
    all_reduce(key, std::vector{std::move(input)}, how, std::move(to));
  }
  /// The same, but each rank gets its part of the sum alone: `part_of(bytes, size, rank, ranks)`.
  void reduce_scatter(
      CollectiveKey key,
      std::vector<Bytes> inputs,
      const ReduceOptions& how,
      Address<CollectiveDone> to);
  /// Every rank gets the bytes of all, one after another in order of rank. All of one size.
  void all_gather(
      CollectiveKey key, Bytes input, Address<CollectiveDone> to, std::int64_t deadline_ns = 0);
  /// Every rank gets the root's bytes. `input` is read on the root alone; `bytes`, its size, is
  /// said by all.
  void broadcast(
      CollectiveKey key,
      std::uint32_t root,
      Bytes input,
      std::uint64_t bytes,
      Address<CollectiveDone> to,
      std::int64_t deadline_ns = 0);
  /// Ends on every rank after it has begun on all.
  void barrier(CollectiveKey key, Address<CollectiveDone> to, std::int64_t deadline_ns = 0);

  /// Ends the operation with `stopped`, here and on the ranks that wait for it; nothing if it has
  /// ended already.
  virtual void cancel(CollectiveKey key) = 0;

 protected:
  /// Begins a call that was checked.
  virtual void begin(CollectiveCall call) = 0;

 private:
  void reduce(
      CollectiveKind kind,
      CollectiveKey key,
      std::vector<Bytes> inputs,
      const ReduceOptions& how,
      Address<CollectiveDone> to);
};

/// A stretch of bytes.
struct Stretch {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const Stretch&, const Stretch&) noexcept = default;
};

/// The part of `bytes`, made of elements of `element_bytes`, that is `part` of `parts`: whole
/// elements, and one more or less than another's.
[[nodiscard]] constexpr Stretch part_of(
    std::uint64_t bytes,
    std::size_t element_bytes,
    std::uint32_t part,
    std::uint32_t parts) noexcept {
  const std::uint64_t elements = bytes / element_bytes;
  // Without elements · parts, which may be too large.
  const std::uint64_t each = elements / parts;
  const std::uint64_t more = elements % parts;  // the first ones have one more
  const std::uint64_t begin = part * each + (part < more ? part : more);
  return {begin * element_bytes, (each + (part < more ? 1 : 0)) * element_bytes};
}

/// The shards that `rank` of `ranks` carries, of as many as there are ranks or more: neighbors, and
/// at least one.
[[nodiscard]] constexpr nn::ShardRange shards_of(
    std::uint32_t rank, std::uint32_t ranks, std::uint32_t shards) noexcept {
  const auto bound = [&](std::int64_t r) { return r * shards / ranks; };
  return {bound(rank), bound(std::int64_t{rank} + 1)};
}

}  // namespace troupe::cluster
