#pragma once

#include <troupe/autograd/parameter.hpp>
#include <troupe/io/tree.hpp>
#include <troupe/nn/state_dict.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::optim {

/// All that an optimizer needs to go on exactly where it was.
struct OptimizerState {
  io::Tree settings;      ///< type; for each group: lr, initial_lr, step, and its other settings
  nn::StateDict tensors;  ///< "0.exp_avg", …: the number of the parameter, the name of the state
};

/// What every optimizer is: groups of parameters, each with its settings, and an update rule, which
/// is an op that each parameter applies to itself.
///
///     optimizer.zero_grad();
///     backward(loss);
///     optimizer.step();
///
/// Gradients add up until `zero_grad`: several backward passes before one `step` are one larger
/// batch, if each loss is divided by their number.
///
/// An optimizer is a handle: copies share groups and counts. Inside a capture `step` becomes part
/// of the program; each of the program's steps then asks for the learning rate and counts the step
/// when it is admitted, so that both doors count alike.
///
/// Threads   one at a time for an optimizer, its copies and its parameters.
/// Waiting   `step` and `zero_grad` never wait; `state_dict` does.
/// Steps     are counted for each group, not for each parameter: one that got no gradient in a step
/// is
///           left as it is, but its next update sees the group's count.
class Optimizer {
 public:
  /// What one kind of optimizer consists of.
  struct Method {
    std::string name;  ///< "SGD"
    /// The update rule for a group's settings: (w, states…, g, {lr, step}) → (w', states'…).
    OpRef (*rule)(const io::Tree& settings);
    /// The names of the states that the rule keeps.
    std::vector<std::string> (*states)(const io::Tree& settings);
    /// Throws `invalid_argument` for settings out of range.
    void (*check)(const io::Tree& settings);
  };

  /// For optimizers of one's own. Throws `invalid_argument` as `add_param_group`.
  Optimizer(Method method, const std::vector<Parameter>& parameters, double lr, io::Tree settings);

  /// Further parameters with settings of their own. Throws `invalid_argument` when there are none,
  /// for an undefined one or one that is in a group already, and for settings out of range.
  void add_param_group(const std::vector<Parameter>& parameters, double lr, io::Tree settings);

  [[nodiscard]] std::size_t groups() const noexcept;
  [[nodiscard]] const std::vector<Parameter>& parameters(std::size_t group = 0) const;
  /// All but the learning rate: "momentum", "weight_decay", …
  [[nodiscard]] const io::Tree& settings(std::size_t group = 0) const;

  [[nodiscard]] double lr(std::size_t group = 0) const;
  /// Of one group, from the next step on.
  void set_lr(double lr, std::size_t group);
  /// Of all groups.
  void set_lr(double lr);
  /// What schedules multiply: the learning rate that the group began with.
  [[nodiscard]] double initial_lr(std::size_t group = 0) const;
  /// Steps begun since the group was made.
  [[nodiscard]] std::int64_t steps(std::size_t group = 0) const;
  /// Takes a count back that a step which then failed had counted.
  void set_steps(std::int64_t steps, std::size_t group = 0);

  void zero_grad();
  /// Has each parameter update itself once the backward passes begun before are in.
  void step(Where where = Where::here());

  [[nodiscard]] OptimizerState state_dict() const;
  /// Throws `file_mismatch` listing what does not fit or is out of range; then nothing was changed.
  void load_state_dict(const OptimizerState& state);

  friend bool operator==(const Optimizer& a, const Optimizer& b) noexcept {
    return a.shared_ == b.shared_;
  }

 private:
  struct Group;
  struct Shared;
  [[nodiscard]] Group& group(std::size_t i) const;

  std::shared_ptr<Shared> shared_;
};

}  // namespace troupe::optim
