#pragma once

#include <troupe/core/actor.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/value.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace troupe {

class Device;
class Record;
struct Turn;

/// Where people called an op, and in which step: what an error that comes late will name.
struct Origin {
  Where where;
  std::int64_t step = -1;
};

/// The order of what goes wrong in a node's vjp among all that can in a step: passes as they were
/// begun, and in each the nodes as its walk came by. What goes wrong in a call is before all of
/// them, in an update after.
[[nodiscard]] constexpr std::uint64_t failure_order(
    std::uint64_t pass, std::uint32_t position) noexcept {
  constexpr std::uint64_t most = 0xffffff;
  return (pass & most) << 40 | std::min<std::uint64_t>(position, most) << 16;
}
[[nodiscard]] constexpr std::uint64_t update_failure_order(std::uint32_t number) noexcept {
  return failure_order(~std::uint64_t{0}, number);
}

/// What travels on every edge, either way: a value; null, for "nothing"; or a value that is an
/// error.
using Payload = Value;

/// A producer's output for one slot of a consumer.
struct Input {
  static constexpr MessageId id{100};
  static constexpr std::string_view name = "input";
  std::uint32_t slot = 0;
  Payload value;
  template <class V>
  void fields(V& visit) {
    visit.field("slot", slot);
    visit.local("value");
  }
};

/// Announces one backward pass to a node or parameter: how many gradients will come, and what for.
struct Expect {
  static constexpr MessageId id{101};
  static constexpr std::string_view name = "expect";
  std::uint64_t pass = 0;
  std::uint32_t count = 0;
  std::uint32_t needed = ~0u;  ///< bit i: send a gradient on input edge i, for the first 32
  bool retain = false;         ///< keep what the vjp needs for another pass
  bool accumulate = true;      ///< a leaf adds the sum to its `grad`
  std::uint32_t position = 0;  ///< of the receiver in the walk
  std::int32_t step = -1;      ///< in which the pass was begun
  /// What few passes ask of few nodes.
  struct Delivery {
    std::uint32_t output = 0;
    bool retained = false;  ///< as a `Gradient` of the pass, for `retain_grad()`
    Ref<ActorCell> to;
    template <class V>
    void fields(V& visit) {
      visit.field("output", output);
      visit.field("retained", retained);
      visit.field("to", to);
    }
  };
  struct Wishes {
    std::vector<Delivery> deliver;    ///< who asked for these very gradients
    std::vector<bool> needed_beyond;  ///< the edges after the first 32; empty: all
    template <class V>
    void fields(V& visit) {
      visit.field("deliver", deliver);
      std::vector<std::uint8_t> beyond(needed_beyond.begin(), needed_beyond.end());
      visit.field("needed_beyond", beyond);
      needed_beyond.assign(beyond.begin(), beyond.end());
    }
  };
  std::unique_ptr<Wishes> wishes;

  [[nodiscard]] Wishes& wish() {
    if (!wishes) wishes = std::make_unique<Wishes>();
    return *wishes;
  }
  [[nodiscard]] std::span<const Delivery> deliver() const noexcept {
    return wishes ? std::span<const Delivery>(wishes->deliver) : std::span<const Delivery>();
  }
  [[nodiscard]] bool needs(std::size_t edge) const noexcept {
    if (edge < 32) return (needed >> edge & 1) != 0;
    return !wishes || wishes->needed_beyond.empty() || wishes->needed_beyond[edge - 32];
  }
  template <class V>
  void fields(V& visit) {
    visit.field("pass", pass);
    visit.field("count", count);
    visit.field("needed", needed);
    visit.field("retain", retain);
    visit.field("accumulate", accumulate);
    visit.field("position", position);
    visit.field("step", step);
    bool wanted = wishes != nullptr;
    visit.field("wanted", wanted);
    if (wanted) wish().fields(visit);
  }
};

/// A gradient, travelling backward along one edge; exactly one for each edge a walk counted.
struct Gradient {
  static constexpr MessageId id{102};
  static constexpr std::string_view name = "gradient";
  std::uint64_t pass = 0;
  std::uint32_t output = 0;   ///< the receiver's output that it is the gradient of
  std::uint32_t ordinal = 0;  ///< the edge's: gradients are summed in this order
  Payload value;
  template <class V>
  void fields(V& visit) {
    visit.field("pass", pass);
    visit.field("output", output);
    visit.field("ordinal", ordinal);
    visit.local("value");
  }
};

/// Adds a hook to one output's gradient. Local: functions do not travel. The engine knows the hook
/// already, for backward passes that run on the caller's thread; a null one tells only that the
/// engine keeps something for this node.
struct AddHook {
  static constexpr MessageId id{103};
  static constexpr std::string_view name = "add_hook";
  std::uint32_t output = 0;
  std::shared_ptr<const GradientHook> hook;
  template <class V>
  void fields(V& visit) {
    visit.field("output", output);
    visit.local("hook");
  }
};

using TensorMessages = MessageList<100, 199, Input, Expect, Gradient, AddHook>;
static_assert(TensorMessages::size == 4);

/// Who wants an output once it is there, and as what.
struct Subscription {
  Subscription* next = nullptr;
  Ref<ActorCell> to;
  std::uint64_t pass = 0;    ///< 0: as `Input`; otherwise as `Gradient` of this pass
  std::uint32_t output = 0;  ///< of the producer
  std::uint32_t slot = 0;    ///< of the receiver: input slot, or the output a gradient is for
  std::uint32_t ordinal = 0;
};

/// Gradients that came for one output or parameter in one pass, until all are there.
class GradientSum {
 public:
  explicit GradientSum(System& system) noexcept : system_(&system) {}
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  void add(Gradient&& gradient);
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  /// The first error among them, if any: in the order of failures, then in that of the edges.
  [[nodiscard]] Value failure() const noexcept;
  /// The sum of those for one output, in the order of their edges; undefined when all are null. To
  /// be called with a scope installed.
  [[nodiscard]] Tensor take(std::uint32_t output);

 private:
  struct Item;
  System* system_;
  Item* items_ = nullptr;  // sorted by output, then ordinal
  std::uint32_t count_ = 0;
};

/// The actor that runs one op of a graph: it waits for its inputs, launches the op once, sends the
/// outputs to whoever subscribed, and later turns gradients of its outputs into gradients of its
/// inputs.
///
/// Receives  `Input` for each slot not filled at the start; `Completed` from its launch; `Expect`
/// and
///           `Gradient` of backward passes, in any order; `AddHook`.
/// Sends     `Input` to subscribers; one `Gradient` on each input edge a walk counted.
/// Retires   when its record, its subscribers and its messages are gone: nobody has its address.
/// Failing   what its op throws becomes the payload on every edge it owes; the node lives on.
class Node final : public Actor<Input, Completed, Expect, Gradient, AddHook> {
 public:
  struct Source {
    Value value;              ///< null: to come
    Ref<ActorCell> producer;  ///< where this slot's gradient goes; null: nowhere
    std::uint32_t ordinal = 0;
    std::uint8_t output = 0;
  };

  /// A node of `outputs` outputs, whose inputs `sources` are moved from.
  Node(
      OpRef op,
      Device& device,
      std::span<Source> sources,
      std::size_t outputs,
      std::uint64_t random_seed,
      std::uint64_t random_call,
      const Origin& origin = {});
  ~Node();

  // --- for the thread that spawned the node, before any other can know its address ------------

  /// Fails the node if its op makes a NaN; `turn` as it was at the call, null for one of people's.
  void set_trap(Turn* turn);
  /// The outputs are there: a ready node runs in the call that made it.
  void start_finished(std::span<Value> outputs);
  /// The op was launched; the outputs may be read once the ticket is complete.
  void await(const Ticket& ticket, std::span<Value> outputs);
  /// Some inputs are still to come; `record` tells dtypes and shapes of the outputs.
  void await(const Record& record);
  /// No input is to come after all: one of those that are there is an error, to be passed on.
  void launch_all_there() { launch(); }

  // --- for the records and subscribers of the same process; any thread ------------------------

  [[nodiscard]] Value published(std::size_t output) const noexcept;
  [[nodiscard]] bool finished() const noexcept;
  /// Enters a subscription; false when the outputs are there already.
  [[nodiscard]] bool subscribe(Subscription* subscription) noexcept;
  /// Nobody will ask for the outputs any more.
  void drop_published() noexcept;

  /// The node in a cell, or null when another actor lives there.
  [[nodiscard]] static Node* in(const Ref<ActorCell>& cell) noexcept;

 private:
  friend struct troupe::ActorAccess;
  struct Pass;
  struct Outlet {
    std::atomic<ValueBody*> published{nullptr};
    Value kept;  // before the launch: dtype and shape; after: the value, if the vjp reads it
  };

  void on(Input&& input);
  void on(Completed&& completed);
  void on(Expect&& expect);
  void on(Gradient&& gradient);
  void on(AddHook&& hook);

  void launch();
  void finish();
  [[nodiscard]] Value failure_of_current_exception(
      std::string_view what, std::span<const Meta> shapes, std::uint64_t order);
  void trap_nan();
  [[nodiscard]] std::int64_t pending_bytes() const noexcept;
  Pass& pass(std::uint64_t id);
  void run_complete_passes();
  void run_vjp(Pass& pass);
  Gradients vjp(Pass& pass, std::span<Tensor> gradients, Turn& turn);
  void call_hooks(std::span<Tensor> gradients, Turn& turn);
  void forget_saved() noexcept;

  /// What few nodes have: a random op's place in the sequence, hooks, several outputs, a NaN trap.
  struct Extra {
    Pass* passes = nullptr;
    std::uint64_t random_seed = 0;
    std::uint64_t random_call = 0;
    Outlet* outlets = nullptr;
    std::vector<std::pair<std::uint32_t, std::shared_ptr<const GradientHook>>> hooks;
    bool known_to_engine = false;  // which is to forget what it keeps for this node
    bool traps_nan = false;
    std::uint64_t order = 0;  // of a failure by the trap
    std::string_view vjp_of;
  };
  Extra& extra();
  [[nodiscard]] Pass*& passes() noexcept { return has_extra_ ? extra_->passes : passes_; }

  // Nearly every op has two inputs and one output at most: those lie in the node itself.
  static constexpr std::size_t few_sources = 2;
  [[nodiscard]] Source* sources() noexcept {
    return source_count_ <= few_sources ? reinterpret_cast<Source*>(place_) : many_sources();
  }
  [[nodiscard]] Source*& many_sources() noexcept { return *reinterpret_cast<Source**>(place_); }
  [[nodiscard]] Outlet* outlets() noexcept {
    return outlet_count_ == 1 ? &one_outlet_ : extra_->outlets;
  }
  [[nodiscard]] const Outlet* outlets() const noexcept {
    return outlet_count_ == 1 ? &one_outlet_ : extra_->outlets;
  }

  OpRef op_;
  Device* device_;
  const char* file_;  // of the call
  std::uint32_t line_;
  std::int32_t step_;
  std::atomic<Subscription*> subscribers_{nullptr};
  union {
    Pass* passes_ = nullptr;
    Extra* extra_;  // which then has the passes
  };
  std::uint16_t source_count_;
  std::uint16_t awaited_ = 0;
  std::uint8_t outlet_count_;
  bool has_extra_ = false;
  bool differentiated_ = false;   // some input wants a gradient
  bool free_wanted_ : 1 = false;  // a pass without retain has run
  bool saved_dropped_ : 1 = false;
  alignas(Source) std::byte place_[few_sources * sizeof(Source)];
  Outlet one_outlet_;
};

/// Throws unless what an op's vjp made has the dtypes and shapes of the op's inputs.
void check_vjp(const OpInfo& op, Gradients& made, std::span<const Meta> inputs);
/// Throws unless what a hook gave back has the dtype and shape of the gradient it was given.
void check_hook(std::string_view op, const Meta& gradient, const Tensor& replacement);

/// Asks that `output` of the tensor be sent to `to` as an input of its `slot`: now if it is there.
void subscribe_input(const Tensor& tensor, const Ref<ActorCell>& to, std::uint32_t slot);
/// Asks that the tensor be sent to `to` as a gradient.
void subscribe_gradient(
    const Tensor& tensor,
    const Ref<ActorCell>& to,
    std::uint64_t pass,
    std::uint32_t output,
    std::uint32_t ordinal);

/// A tensor whose value somebody else will send.
struct Awaiting {
  Tensor tensor;
  Ref<ActorCell> cell;  ///< to be sent an `Input` for slot 0; null in it stands for zeros
};

/// How a parameter's or a gradient's value reaches the graph: a tensor whose one input slot is
/// filled by an `Input` message. Its own gradients go to `sink`, if not null, numbered from
/// `first_ordinal`.
[[nodiscard]] Awaiting make_awaiting(
    Device& device,
    const Meta& meta,
    Ref<ActorCell> sink,
    std::uint32_t first_ordinal,
    Where where);

}  // namespace troupe
