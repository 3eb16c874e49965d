#pragma once

#include <troupe/core/actor_cell.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe {

struct ParameterUpdate;

/// A value that outlives graphs: a weight, a running statistic. The value belongs to an actor,
/// which serves reads and changes in the order in which the caller asked for them; this is the
/// handle to it, and copies share.
///
/// With `requires_grad`, gradient messages that reach it are summed, in the order of edges, into
/// its `grad`; passes that overlap in time are added in the order in which they were begun.
///
/// Threads   one at a time for a handle and its copies.
class Parameter {
 public:
  Parameter() noexcept = default;  ///< undefined
  /// Takes a tensor's value, without its history.
  explicit Parameter(const Tensor& initial, bool requires_grad = true, Where where = Where::here());

  [[nodiscard]] bool defined() const noexcept { return static_cast<bool>(shared_); }
  explicit operator bool() const noexcept { return defined(); }
  [[nodiscard]] const Meta& meta() const noexcept;
  [[nodiscard]] const Shape& shape() const noexcept { return meta().shape; }
  [[nodiscard]] DType dtype() const noexcept { return meta().dtype; }
  [[nodiscard]] bool requires_grad() const noexcept;
  void set_requires_grad(bool requires_grad);

  /// The value as it stands now in program order, for use in a graph. The same record serves all
  /// uses until the next change, so that forward and backward see the same weights. In a capture: a
  /// read that is recorded.
  [[nodiscard]] const Tensor& tensor() const;

  /// The sum of gradients since `zero_grad`; undefined when none came. Waits.
  [[nodiscard]] Tensor grad() const;
  void zero_grad();
  /// Puts another gradient in the place of the sum, as clipping does; it may be still on its way.
  void set_grad(const Tensor& gradient);

  /// Replaces the value; shape, dtype and device must be the same. The tensor may be still on its
  /// way.
  void set(const Tensor& value);

  /// Has the actor update the value once all passes announced so far have reached it:
  /// (value', states'…) = rule(value, states…, gradient, scalars). Without a gradient nothing
  /// happens. The states are zeros before the first update. Throws `unsupported` for more than 3
  /// states, and what the rule's own shape rule throws. An update that fails leaves value and
  /// states as they are, and the next to read the value is told.
  void apply(
      const OpRef& rule, std::uint32_t states, const Tensor& scalars, Where where = Where::here());
  /// The states of the update rule; waits. Empty before the first update.
  [[nodiscard]] std::vector<Tensor> states() const;
  /// Throws `shape_mismatch` unless each is of the value's dtype and shape, `unsupported` for more
  /// than 3.
  void set_states(const std::vector<Tensor>& states);

  /// Calls a function with each pass's gradient; what it returns, if defined, takes its place and
  /// must be of its dtype and shape. In a program the function is called once, by the capture, and
  /// what it computes is recorded.
  void register_hook(GradientHook hook);

  /// The next tensor() reads anew: a program was asked to change the value.
  void forget_read() const noexcept;

  [[nodiscard]] const Ref<ActorCell>& cell() const noexcept;
  /// The device the value lives on.
  [[nodiscard]] Device& device() const noexcept;
  /// Moves value, gradient, states and the parameter's hooks to another device of the same system;
  /// all copies of the handle follow. Graphs made before keep the old place; programs captured
  /// before no longer run. Waits.
  void to(Device& device);
  /// The same without reading anything, as from a device that is lost: until it is set, the value
  /// is zeros; gradient and states are gone.
  void to_empty(Device& device);
  friend bool operator==(const Parameter& a, const Parameter& b) noexcept {
    return a.shared_ == b.shared_;
  }

 private:
  friend void apply_together(std::span<const ParameterUpdate> updates, Where where);
  void apply_as_one(
      const OpRef& rule,
      std::uint32_t states,
      const Tensor& scalars,
      Where where,
      const Ref<ActorCell>& together,
      std::uint32_t number);

  struct Shared;
  std::shared_ptr<Shared> shared_;
};

/// One parameter's part in a step: what `Parameter::apply` takes.
struct ParameterUpdate {
  Parameter parameter;
  OpRef rule;
  std::uint32_t states = 0;
  Tensor scalars;
};

/// Has parameters updated together, as by `Parameter::apply` for each: all of them, or none where a
/// gradient or an update of one failed. Of no parameter may there be two. Waits for nothing, unless
/// NaNs are trapped: then for the updates, to throw the first that failed.
void apply_together(std::span<const ParameterUpdate> updates, Where where = Where::here());

/// A leaf of the same data whose gradient is summed into `grad_of`.
[[nodiscard]] Tensor requires_grad(const Tensor& tensor, Where where = Where::here());
/// The gradient summed for a leaf made by `requires_grad`, for a parameter's tensor, or for one
/// that `retain_grad` was called with; undefined when none came. Waits.
[[nodiscard]] Tensor grad_of(const Tensor& tensor, Where where = Where::here());
/// From now on keeps the sum of the gradients that `backward()` gives this tensor, which some op
/// made, for `grad_of`. Leaves do that by themselves.
void retain_grad(const Tensor& tensor, Where where = Where::here());
/// Calls a function with the tensor's gradient in each backward pass; what it returns, if defined,
/// takes its place and must be of its dtype and shape. The function must not hold the tensor
/// itself, nor one made from it: it would keep alive what keeps it.
void register_hook(const Tensor& tensor, GradientHook hook, Where where = Where::here());

}  // namespace troupe
