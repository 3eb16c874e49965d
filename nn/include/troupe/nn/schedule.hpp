#pragma once

#include <troupe/io/tree.hpp>
#include <troupe/nn/optimizer.hpp>

#include <cstdint>
#include <functional>
#include <vector>

namespace troupe::optim {

/// A learning rate as a function of the one that a group began with and of the steps done.
using LrCurve = std::function<double(double initial_lr, std::int64_t step)>;

/// Sets an optimizer's learning rates by a curve: at once, and again by each `step()`, which is
/// called after each epoch or after each batch, as the curve is meant.
///
///     optim::CosineAnnealingLR schedule(optimizer, epochs);
///     for (…) { …; schedule.step(); }
///
/// Numbers are PyTorch's, each computed from the initial rate alone: so nothing adds up over the
/// steps, and a rate set by hand lasts until the next `step()`. Several curves in a row are a
/// `SequentialLR`.
///
/// A handle: copies share the count. `step()` inside a capture is an error, for it would happen
/// once and not in each of the program's steps.
///
/// Threads   as the optimizer.
class Schedule {
 public:
  Schedule(Optimizer optimizer, LrCurve curve);

  /// Throws `in_capture`.
  void step();
  /// Calls of `step()`.
  [[nodiscard]] std::int64_t last_epoch() const noexcept;
  /// What was set last, for each group.
  [[nodiscard]] std::vector<double> last_lr() const;
  [[nodiscard]] const LrCurve& curve() const noexcept;

  [[nodiscard]] io::Tree state_dict() const;
  /// Goes on from there: sets the rates of that step. Throws `file_mismatch`.
  void load_state_dict(const io::Tree& state);

 private:
  struct Shared;
  void set_rates() const;

  std::shared_ptr<Shared> shared_;
};

/// initial · factor(step)
class LambdaLR : public Schedule {
 public:
  LambdaLR(Optimizer optimizer, std::function<double(std::int64_t step)> factor);
};

/// Times `gamma` every `step_size` steps.
class StepLR : public Schedule {
 public:
  StepLR(Optimizer optimizer, std::int64_t step_size, double gamma = 0.1);
};

/// Times `gamma` at each milestone; they must rise.
class MultiStepLR : public Schedule {
 public:
  MultiStepLR(Optimizer optimizer, std::vector<std::int64_t> milestones, double gamma = 0.1);
};

/// Times `gamma` every step.
class ExponentialLR : public Schedule {
 public:
  ExponentialLR(Optimizer optimizer, double gamma);
};

/// Times `factor` for the first `total_iters` steps.
class ConstantLR : public Schedule {
 public:
  explicit ConstantLR(Optimizer optimizer, double factor = 1.0 / 3, std::int64_t total_iters = 5);
};

/// From `start_factor` in a straight line to `end_factor`, reached after `total_iters` steps: a
/// warm-up.
class LinearLR : public Schedule {
 public:
  explicit LinearLR(
      Optimizer optimizer,
      double start_factor = 1.0 / 3,
      double end_factor = 1,
      std::int64_t total_iters = 5);
};

/// initial · (1 − step / total_iters)^power, then 0.
class PolynomialLR : public Schedule {
 public:
  explicit PolynomialLR(Optimizer optimizer, std::int64_t total_iters = 5, double power = 1);
};

/// Half a cosine from the initial rate down to `eta_min` in `t_max` steps, then up again.
class CosineAnnealingLR : public Schedule {
 public:
  CosineAnnealingLR(Optimizer optimizer, std::int64_t t_max, double eta_min = 0);
};

/// The same, begun anew after `t_0` steps, after `t_0 · t_mult` more, and so on. Loshchilov and
/// Hutter 2017.
class CosineAnnealingWarmRestarts : public Schedule {
 public:
  CosineAnnealingWarmRestarts(
      Optimizer optimizer, std::int64_t t_0, std::int64_t t_mult = 1, double eta_min = 0);
};

/// One schedule after the other: the next begins, with its own step 0, at each milestone. There is
/// one milestone less than schedules, and they must rise.
class SequentialLR : public Schedule {
 public:
  SequentialLR(
      Optimizer optimizer,
      const std::vector<Schedule>& schedules,
      std::vector<std::int64_t> milestones);
};

/// A straight line up from `start_factor` in `warmup_steps`, then half a cosine down to `eta_min`
/// at `total_steps`: the two in a `SequentialLR`, as most networks are trained today.
class WarmupCosineLR : public Schedule {
 public:
  WarmupCosineLR(
      Optimizer optimizer,
      std::int64_t warmup_steps,
      std::int64_t total_steps,
      double eta_min = 0,
      double start_factor = 1e-3);
};

}  // namespace troupe::optim
