#pragma once

#include <troupe/core/system.hpp>
#include <troupe/tensor/tensor.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>

namespace troupe {

class Builder;
class Device;

/// What random ops draw from: a key made of a seed, the number of the random call since seeding,
/// and the logical shard that the call is for. The same seed and the same calls in the same order
/// give the same bits on any number of threads.
struct RandomState {
  static constexpr int shard_bits = 16;
  static constexpr std::uint32_t shards_max = std::uint32_t{1} << shard_bits;

  std::uint64_t seed = 0;
  std::uint64_t calls = 0;
  std::uint32_t shard = 0;  ///< below `shards_max`; 0 outside of `InShards`

  /// By what Philox tells calls apart: their number, with the shard in its upper bits, which no
  /// count of calls comes to.
  [[nodiscard]] constexpr std::uint64_t call() const noexcept {
    return calls + (std::uint64_t{shard} << (64 - shard_bits));
  }
};

/// What the ops called for one vjp, hook or update rule have in common, whether a node calls it in
/// its turn or a capture on the caller's thread: what goes wrong in them is told as of the call
/// that people made.
struct Turn {
  Where where;              ///< of that call; without a file, each op's own line stands
  std::int64_t step = -1;   ///< in which it was made
  std::uint64_t order = 0;  ///< of the next op: see `ValueBody::failure_order`
  std::string_view vjp_of;  ///< the op whose gradient is computed; empty in an update
  bool traps_nan = false;   ///< as it was when that call was made
};

/// Names the system, device and gradient mode that the free functions called on this thread use,
/// until it is destroyed; scopes nest. The one thread-local of the engine, read only by the
/// functions that people call; actors have none but while a node calls a vjp or a hook.
///
/// Threads   belongs to the thread that made it; while the outermost one lives, that thread is the
///           system's caller and runs actors as one of its `threads`.
class Scope {
 public:
  /// On the system's first device.
  explicit Scope(System& system);
  Scope(System& system, Device& device);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// The innermost scope of this thread; throws `invalid_argument` with a hint when there is none.
  [[nodiscard]] static Scope& current();
  [[nodiscard]] static Scope* current_or_null() noexcept;

  [[nodiscard]] System& system() const noexcept { return *system_; }
  [[nodiscard]] Device& device() const noexcept { return *device_; }
  [[nodiscard]] bool grad_enabled() const noexcept { return grad_enabled_; }
  /// What `linear`, `matmul` and `conv2d` compute in when called with float32: bfloat16 inside of
  /// an `Autocast`. In turns float32: there each product follows from what it is given.
  [[nodiscard]] DType product_dtype() const noexcept {
    return turn_ ? DType::float32 : product_dtype_;
  }
  /// What adds ops to a graph here: null for nodes that run at once, a capture's otherwise.
  [[nodiscard]] Builder* builder() const noexcept { return builder_; }
  /// The random state that calls in this scope advance: the outermost scope's.
  [[nodiscard]] RandomState& random() noexcept { return *random_; }
  void seed(std::uint64_t seed) noexcept { *random_ = {seed, 0}; }
  /// What a vjp, a hook or an update rule runs in; null in the calls that people make.
  [[nodiscard]] Turn* turn() const noexcept { return turn_; }

 private:
  friend class ScopeChange;
  friend class ActorScope;
  struct Inside {};  // for actors, which run on somebody's seat already
  Scope(Inside, Device& device, Turn& turn) noexcept;

  System* system_;
  Device* device_;
  Builder* builder_ = nullptr;
  bool grad_enabled_ = true;
  DType product_dtype_ = DType::float32;
  Turn* turn_ = nullptr;
  struct Seat;
  std::unique_ptr<Seat> seat_;  // among the scheduler's threads; the outermost scope's
  RandomState own_random_;
  RandomState* random_ = &own_random_;
  Scope* outer_ = nullptr;
};

/// The scope that an actor installs for the turn in which it calls a vjp, a hook or an update rule:
/// its device, and nothing recorded.
class ActorScope {
 public:
  ActorScope(Device& device, Turn& turn) noexcept : scope_(Scope::Inside{}, device, turn) {}

 private:
  Scope scope_;
};

/// Base of the guards that change one thing about the current scope and change it back.
class ScopeChange {
 public:
  ScopeChange(const ScopeChange&) = delete;
  ScopeChange& operator=(const ScopeChange&) = delete;

 protected:
  ScopeChange()
      : scope_(Scope::current()),
        grad_before_(scope_.grad_enabled_),
        product_dtype_before_(scope_.product_dtype_),
        device_before_(scope_.device_),
        builder_before_(scope_.builder_),
        turn_before_(scope_.turn_) {}
  ~ScopeChange() {
    scope_.grad_enabled_ = grad_before_;
    scope_.product_dtype_ = product_dtype_before_;
    scope_.device_ = device_before_;
    scope_.builder_ = builder_before_;
    scope_.turn_ = turn_before_;
  }
  void set_grad(bool enabled) noexcept { scope_.grad_enabled_ = enabled; }
  void set_product_dtype(DType dtype) noexcept { scope_.product_dtype_ = dtype; }
  void set_device(Device& device) noexcept { scope_.device_ = &device; }
  void set_builder(Builder* builder) noexcept { scope_.builder_ = builder; }
  void set_turn(Turn* turn) noexcept { scope_.turn_ = turn; }

 private:
  Scope& scope_;
  bool grad_before_;
  DType product_dtype_before_;
  Device* device_before_;
  Builder* builder_before_;
  Turn* turn_before_;
};

/// While it lives, calls record nothing for a backward pass.
class NoGrad : ScopeChange {
 public:
  NoGrad() { set_grad(false); }
};

/// While it lives, calls record again, inside a NoGrad.
class EnableGrad : ScopeChange {
 public:
  EnableGrad() { set_grad(true); }
};

/// While it lives, `linear`, `matmul`, `conv2d`, and what is made of them, take float32 operands to
/// `dtype` first and give float32 back, as torch.autocast does: *mixed precision*. Sums within a
/// product are float32's, and everything else stays as it is: norms, softmax, losses, a linear's
/// bias. Of what is recorded, the gradients' products are computed in `dtype` too; parameters and
/// their gradients stay float32. bfloat16 has float32's exponents, so that no loss needs to be
/// scaled.
///
/// Operands of other dtypes are left alone, and so is a convolution's bias, which is added in
/// float32 before the sum is rounded.
class Autocast : ScopeChange {
 public:
  /// @param dtype  bfloat16; or float32, inside of another, to leave products as they are. Throws
  ///               `dtype_mismatch` for others.
  explicit Autocast(DType dtype = DType::bfloat16);
};

/// While it lives, calls are those of a vjp, a hook or an update rule.
class InTurn : ScopeChange {
 public:
  explicit InTurn(Turn& turn) { set_turn(&turn); }
};

/// While it lives, calls are made for one logical shard of a step after another. Each shard's
/// random calls are numbered from the same count on and draw what no other shard draws, so that its
/// bits depend on neither how many shards there are nor who calls for the others. Shards are
/// expected to make the same number of random calls; the count goes on behind the one that made
/// most.
///
/// Threads   belongs to the thread that made it.
class InShards {
 public:
  InShards() : random_(Scope::current().random()), before_(random_), behind_(random_.calls) {}
  ~InShards() {
    leave();
    random_.calls = behind_;
  }
  InShards(const InShards&) = delete;
  InShards& operator=(const InShards&) = delete;

  /// The calls from here on are this shard's.
  void enter(std::uint32_t shard) noexcept {
    leave();
    random_.shard = shard;
  }
  /// The calls from here on are no shard's, and must not be random.
  void leave() noexcept {
    behind_ = std::max(behind_, random_.calls);
    random_ = before_;
  }

 private:
  RandomState& random_;
  RandomState before_;
  std::uint64_t behind_;
};

/// While it lives, new tensors and ops go to this device.
class OnDevice : ScopeChange {
 public:
  explicit OnDevice(Device& device) { set_device(device); }
};

}  // namespace troupe
