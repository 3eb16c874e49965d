#pragma once

#include "reduction_plan.hpp"

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/core/buffers.hpp>
#include <troupe/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe::cluster {

/// One operation as one rank sees it: what goes to whom, what comes from whom, and what becomes of
/// it. Knows neither actors nor time; its owner brings pieces and sends those that it is handed.
///
/// A rank sends another up to two streams of pieces, `give` and `result`. Both know from the terms
/// how long each is and what every piece must measure, so nothing is taken on trust.
///
/// Order     of arrival means nothing: a piece says its place, and each piece's sum follows the
///           tree.
class MeshOperation {
 public:
  /// For each rank, how many pieces more may be on the way to it, of all operations together.
  using Windows = std::vector<std::uint64_t>;
  /// So many pieces of a stream may be on the way without any of the window, so that operations
  /// which ranks begin in different orders never wait for each other. A rank acknowledges as many
  /// at a time.
  static constexpr std::uint64_t always_allowed = 2;

  struct Setting {
    std::uint32_t rank = 0;
    std::uint32_t ranks = 1;
    std::uint32_t fan_out = 8;
    MeshTerms terms;
    std::shared_ptr<const ReductionPlan> plan;  // of reductions
  };

  /// What ranks agree on for this call.
  [[nodiscard]] static MeshTerms terms_of(
      const CollectiveCall& call, std::uint32_t ranks, const MeshOptions& options) noexcept;

  /// `buffers` must outlive it, not what it makes.
  MeshOperation(Setting setting, std::vector<Bytes> inputs, Buffers& buffers);

  [[nodiscard]] const MeshTerms& terms() const noexcept { return setting_.terms; }

  /// Whether a piece of another rank of the group fits: `shape_mismatch`, `dtype_mismatch` or
  /// `invalid_argument` where terms differ, else `wire_corrupt`.
  [[nodiscard]] Result<void> check(const MeshPiece& piece) const;
  /// Takes a piece that was checked.
  void take(const MeshPiece& piece);
  /// How many pieces of a stream to acknowledge after one of it was taken; 0: nothing now.
  [[nodiscard]] std::uint64_t acknowledgement(std::uint32_t from, MeshPhase phase) const noexcept;
  /// The receiver took so many pieces of a stream. What they took of its window is given back.
  [[nodiscard]] Result<void> acknowledged(
      std::uint32_t by, MeshPhase phase, std::uint64_t pieces, Windows& windows);
  /// Gives back all that this operation took of windows: its end.
  void leave(Windows& windows) noexcept;

  struct Outgoing {
    std::uint32_t to = 0;
    MeshPhase phase = MeshPhase::give;
    std::uint64_t index = 0;
    Bytes data;
  };
  /// The next piece that may go now, one of each stream in turn; nothing when there is none.
  [[nodiscard]] std::optional<Outgoing> next(Windows& windows);

  [[nodiscard]] bool done() const noexcept { return left_ == 0; }
  /// Once done.
  [[nodiscard]] Bytes result() const;
  /// A rank that something is waited for from; only while not done.
  [[nodiscard]] std::uint32_t waits_for() const noexcept;

 private:
  struct Incoming {
    Stretch stretch;  // in the result
    std::uint32_t inputs = 0;
    bool is_own = false;  // what is passed on from here
    std::uint64_t pieces = 0;
    std::uint64_t came = 0;
    std::vector<bool> seen;
  };
  struct Sending {
    bool from_result = false;  // gated by `ready_`; else from the inputs
    Stretch stretch;
    std::uint32_t inputs = 0;
    std::uint64_t pieces = 0;
    std::uint64_t sent = 0;
    std::uint64_t taken = 0;
    std::uint64_t borrowed = 0;  // of the window
  };
  struct Term {
    const std::byte* data = nullptr;
    bool there = false;
    Bytes held;                          // what `data` lies in, if it came
    std::shared_ptr<std::byte> scratch;  // if it was summed here
  };

  void expect(std::uint32_t from, MeshPhase phase, Stretch stretch, std::uint32_t inputs);
  void give(std::uint32_t to, Stretch stretch, std::uint32_t inputs);
  void pass_on(std::uint32_t to, MeshPhase phase);
  void send(std::uint32_t to, MeshPhase phase, Sending out);
  void lay_out_reduction();
  void lay_out_gathering();
  void lay_out_broadcast();

  void add(std::uint64_t piece, std::uint32_t node, Term term);
  void begin_sum(std::uint64_t piece);
  void copy(std::uint64_t to, std::span<const std::byte> from) noexcept;
  void copy_own_piece();

  [[nodiscard]] std::uint64_t pieces_of(Stretch stretch) const noexcept;
  [[nodiscard]] Stretch piece_of(Stretch stretch, std::uint64_t piece) const noexcept;
  [[nodiscard]] std::size_t stream(std::uint32_t rank, MeshPhase phase) const noexcept {
    return static_cast<std::size_t>(phase) * setting_.ranks + rank;
  }
  /// Whether the sender of a stream waits for the receiver to begin. Who gets a sum has put in what
  /// it is of.
  [[nodiscard]] bool has_window(MeshPhase phase) const noexcept {
    return phase == MeshPhase::give || !reduces();
  }
  /// Whether the sender cannot tell otherwise that the receiver has begun: it must not end, and the
  /// next not begin, before.
  [[nodiscard]] bool ends_when_taken() const noexcept {
    return setting_.terms.kind == CollectiveKind::broadcast;
  }
  [[nodiscard]] bool reduces() const noexcept {
    return setting_.terms.kind == CollectiveKind::all_reduce ||
           setting_.terms.kind == CollectiveKind::reduce_scatter;
  }

  Setting setting_;
  Buffers* buffers_;
  std::vector<Bytes> inputs_;
  std::vector<std::shared_ptr<const Bytes>> shared_inputs_;  // what slices keep alive
  std::shared_ptr<std::byte> output_;
  Stretch output_stretch_;  // what of the whole lies in it

  Stretch own_;                          // what this rank sums or passes on, in the whole
  std::vector<bool> ready_;              // pieces of it that are in the result
  std::vector<std::vector<Term>> sums_;  // for each piece of it, the tree's nodes
  std::uint64_t own_copied_ = 0;         // pieces of this rank's block, in all_gather

  std::vector<Incoming> incoming_;  // by stream()
  std::vector<Sending> sending_;
  std::size_t turn_ = 0;    // the stream that sends next
  std::uint64_t left_ = 0;  // pieces to come and to be sent, and streams to be taken
};

}  // namespace troupe::cluster
