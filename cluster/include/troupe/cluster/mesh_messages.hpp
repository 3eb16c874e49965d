#pragma once

#include <troupe/cluster/collectives.hpp>

namespace troupe::cluster {

/// What ranks must agree on before bytes of an operation mean the same to them. Goes with every
/// piece, for a rank may get one before it began the operation itself.
struct MeshTerms {
  CollectiveKind kind = CollectiveKind::all_reduce;
  bool parted = false;  ///< ranks own parts; else everybody gets everything
  DType dtype = DType::uint8;
  Reduction reduction = Reduction::sum;
  std::uint32_t shards = 0;
  std::uint32_t root = 0;
  std::uint64_t bytes = 0;
  std::uint32_t piece_bytes = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("kind", kind);
    visit.field("parted", parted);
    visit.field("dtype", dtype);
    visit.field("reduction", reduction);
    visit.field("shards", shards);
    visit.field("root", root);
    visit.field("bytes", bytes);
    visit.field("piece_bytes", piece_bytes);
  }
  friend bool operator==(const MeshTerms&, const MeshTerms&) noexcept = default;
};

/// What a rank sends another in one operation, in two streams.
enum class MeshPhase : std::uint8_t {
  give = 0,    ///< what the sender put in
  result = 1,  ///< what is whole now: a sum, or a broadcast's bytes passed on
};
inline constexpr std::uint32_t mesh_phases = 2;

/// A piece of a stream.
struct MeshPiece {
  static constexpr MessageId id{501};
  static constexpr std::string_view name = "mesh_piece";
  static constexpr bool bounded = true;  // by the group's window

  std::uint64_t epoch = 0;
  std::uint32_t from = 0;  ///< rank of the sender
  CollectiveKey key;
  MeshTerms terms;
  MeshPhase phase = MeshPhase::give;
  std::uint64_t index = 0;  ///< in the stream; inputs take turns where a rank has several
  Bytes data;

  template <class V>
  void fields(V& visit) {
    visit.field("epoch", epoch);
    visit.field("from", from);
    visit.field("key", key);
    visit.field("terms", terms);
    visit.field("phase", phase);
    visit.field("index", index);
    visit.field("data", data);
  }
  [[nodiscard]] std::uint64_t trace_key() const noexcept { return key.step; }
};

/// So many pieces of a stream were taken by an operation that has begun, so its sender may go on.
struct MeshTaken {
  static constexpr MessageId id{502};
  static constexpr std::string_view name = "mesh_taken";
  static constexpr bool bounded = true;  // by pieces

  std::uint64_t epoch = 0;
  std::uint32_t from = 0;
  CollectiveKey key;
  MeshPhase phase = MeshPhase::give;
  std::uint64_t pieces = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("epoch", epoch);
    visit.field("from", from);
    visit.field("key", key);
    visit.field("phase", phase);
    visit.field("pieces", pieces);
  }
};

/// The sender gave the operation up.
struct MeshAbort {
  static constexpr MessageId id{503};
  static constexpr std::string_view name = "mesh_abort";
  static constexpr bool bounded = true;  // one for each operation

  std::uint64_t epoch = 0;
  std::uint32_t from = 0;
  CollectiveKey key;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("epoch", epoch);
    visit.field("from", from);
    visit.field("key", key);
    visit.field("reason", reason);
  }
};

/// What others send a rank.
using MeshAddress = Address<MeshPiece, MeshTaken, MeshAbort>;

/// All of this module that other processes may send.
using CollectiveMessages = MessageList<500, 599, CollectiveDone, MeshPiece, MeshTaken, MeshAbort>;

}  // namespace troupe::cluster
