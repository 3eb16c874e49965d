#pragma once

#include <troupe/core/actor_cell.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/tensor.hpp>

#include <atomic>
#include <cstdint>
#include <span>

namespace troupe {

class Device;

/// One input of a record: which output of which record, and the how-manieth consumption of that
/// record this is. The number orders the gradients that come back, whatever order they arrive in.
struct Edge {
  Record* producer = nullptr;  ///< a reference; with the data held too when `keeps_value`
  std::uint32_t output : 8 = 0;
  std::uint32_t keeps_value : 1 = 0;
  std::uint32_t ordinal = 0;
};

/// What a tensor counts: the op, its input records, the shapes, where it was built, and the address
/// of the node that runs it. Immutable but for its counts; local to the process. Owns upstream
/// only.
///
/// A record is counted twice over, in one word. *References* keep the record itself; *handles* are
/// those references that may still ask for the data, and when the last one goes the node need not
/// keep its output. A tensor is both; an edge is a handle only if its op's vjp will read that
/// input.
///
/// Threads   any, but for the walk's marks: one walk at a time.
class Record {
 public:
  /// A record of a live node, of a capture (`cell` null), or of a constant (no op).
  static Record* make(
      Device& device,
      OpRef op,
      std::span<const Tensor* const> inputs,
      std::span<const Meta> outputs,
      Ref<ActorCell> cell,
      bool requires_grad,
      Where where);
  /// Data that are there; gradients for it, if any are wanted, go to `sink`.
  static Record* make_constant(
      Value value, Ref<ActorCell> sink, Where where, std::uint32_t first_ordinal = 0);
  /// A node without inputs from the graph: its value comes from a parameter or a gradient.
  /// Gradients for it go to `sink`, if not null, numbered from `first_ordinal`.
  static Record* make_leaf(
      Device& device,
      OpRef op,
      const Meta& meta,
      Ref<ActorCell> cell,
      Ref<ActorCell> sink,
      std::uint32_t first_ordinal,
      Where where);
  /// What a capture is given: an input, or a parameter as it stands when a step begins.
  static Record* make_captured_leaf(
      Device& device, OpRef op, const Meta& meta, Ref<ActorCell> sink, Where where);
  /// A record of a capture.
  static Record* make_captured(
      Device& device,
      OpRef op,
      std::span<const Tensor* const> inputs,
      std::span<const Meta> outputs,
      bool requires_grad,
      Where where);

  void add_handle() noexcept { counts_.fetch_add(one_handle | 1, std::memory_order_relaxed); }
  void release_handle() noexcept;
  void add_ref() noexcept { counts_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  [[nodiscard]] Device& device() const noexcept { return metas()[0]->device(); }
  [[nodiscard]] const OpRef& op() const noexcept { return op_; }  ///< null: a constant
  [[nodiscard]] std::span<Edge> inputs() noexcept { return {edges(), input_count_}; }
  [[nodiscard]] std::size_t output_count() const noexcept { return output_count_; }
  [[nodiscard]] const Meta& output(std::size_t i) const noexcept { return metas()[i]->meta(); }
  [[nodiscard]] const Ref<SharedMeta>& shared_meta(std::size_t i) const noexcept {
    return metas()[i];
  }
  [[nodiscard]] Where where() const noexcept { return {file_, line_}; }
  /// The node that makes the data; null for constants and in captures.
  [[nodiscard]] const Ref<ActorCell>& cell() const noexcept { return constant_ ? no_cell : cell_; }
  /// The actor that gradients go to: the node, or the parameter that a leaf was read from.
  [[nodiscard]] const Ref<ActorCell>& gradients_to() const noexcept {
    return sink_ ? sink_ : cell();
  }
  [[nodiscard]] bool is_leaf() const noexcept { return static_cast<bool>(sink_); }
  [[nodiscard]] bool requires_grad() const noexcept { return requires_grad_; }
  [[nodiscard]] bool is_constant() const noexcept { return constant_; }
  /// Recorded by a capture: there are no data.
  [[nodiscard]] bool captured() const noexcept { return captured_; }
  /// A walk without `retain_graph` took the edges away.
  [[nodiscard]] bool freed() const noexcept { return freed_; }

  /// The data of an output if they are there; null otherwise. Never waits.
  [[nodiscard]] Value ready_value(std::size_t output) const noexcept;

  /// The number of the next consumption.
  [[nodiscard]] std::uint32_t next_ordinal() noexcept {
    return consumptions_.fetch_add(1, std::memory_order_relaxed);
  }

  /// Names the node, once it is spawned; before any other thread can see the record.
  void set_cell(const Ref<ActorCell>& cell) noexcept { cell_ = cell; }

  /// Lets go of everything upstream and of what was saved: after the one backward pass.
  void free_graph() noexcept;

  // A walk's own: which pass last came by, and how many gradients it counted. A record that is
  // being destroyed, which no walk meets any more, links to the next of its kind in the first of
  // them.
  union {
    std::uint64_t walk_pass = 0;
    Record* next_dead;
  };
  std::uint32_t walk_count = 0;
  std::uint32_t walk_index = 0;

 private:
  static constexpr std::uint64_t one_handle = std::uint64_t{1} << 32;

  inline static const Ref<ActorCell> no_cell;

  Record(OpRef op, std::span<Ref<SharedMeta>> outputs, std::size_t inputs, Where where) noexcept;
  ~Record();
  /// A record with room for `inputs` edges, yet to be made; `outputs` are moved from.
  static Record* allocate(
      OpRef op, std::span<Ref<SharedMeta>> outputs, std::size_t inputs, Where where);
  [[nodiscard]] Edge* edges() const noexcept {
    return reinterpret_cast<Edge*>(const_cast<Record*>(this) + 1);
  }
  [[nodiscard]] Ref<SharedMeta>* metas() const noexcept {
    return reinterpret_cast<Ref<SharedMeta>*>(edges() + input_capacity_);
  }
  [[nodiscard]] std::size_t bytes() const noexcept;
  void handles_gone() noexcept;
  void destroy() noexcept;

  std::atomic<std::uint64_t> counts_{one_handle | 1};
  OpRef op_;
  union {
    Ref<ActorCell> cell_;
    Value value_;  // of a constant
  };
  Ref<ActorCell> sink_;
  const char* file_;
  std::uint32_t line_;
  std::atomic<std::uint32_t> consumptions_{0};
  std::uint16_t input_capacity_ = 0;
  std::uint16_t input_count_ = 0;
  std::uint8_t output_count_ = 0;
  bool constant_ : 1 = false;
  bool requires_grad_ : 1 = false;
  bool captured_ : 1 = false;
  bool freed_ = false;
  bool holds_itself_ = false;  // a handle of its own: its vjp reads its output
};

}  // namespace troupe
