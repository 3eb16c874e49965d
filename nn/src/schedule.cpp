#include <troupe/autograd/capture.hpp>
#include <troupe/core/error.hpp>
#include <troupe/nn/schedule.hpp>
#include <troupe/tensor/record.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

namespace troupe::optim {

struct Schedule::Shared {
  Optimizer optimizer;
  LrCurve curve;
  std::int64_t step = 0;
};

Schedule::Schedule(Optimizer optimizer, LrCurve curve)
    : shared_(std::make_shared<Shared>(Shared{std::move(optimizer), std::move(curve)})) {
  set_rates();
}

void Schedule::set_rates() const {
  Optimizer& optimizer = shared_->optimizer;
  for (std::size_t i = 0; i < optimizer.groups(); ++i)
    optimizer.set_lr(shared_->curve(optimizer.initial_lr(i), shared_->step), i);
}

void Schedule::step() {
  if (Capture::current())
    throw Error(ErrorCode::in_capture, "a schedule was stepped in a function that is captured")
        .hint("step it outside, after each run: the program asks for the rate in each step");
  ++shared_->step;
  set_rates();
}

std::int64_t Schedule::last_epoch() const noexcept { return shared_->step; }
const LrCurve& Schedule::curve() const noexcept { return shared_->curve; }

std::vector<double> Schedule::last_lr() const {
  std::vector<double> rates;
  for (std::size_t i = 0; i < shared_->optimizer.groups(); ++i)
    rates.push_back(shared_->optimizer.lr(i));
  return rates;
}

io::Tree Schedule::state_dict() const {
  io::Tree state;
  state["last_epoch"] = shared_->step;
  return state;
}

void Schedule::load_state_dict(const io::Tree& state) {
  const std::int64_t step = state.at("last_epoch").as_int();
  // Curves count in doubles, which tell no more steps apart.
  if (step < 0 || step > std::int64_t{1} << 53)
    throw Error(ErrorCode::file_mismatch, "'last_epoch' is " + std::to_string(step));
  shared_->step = step;
  set_rates();
}

// --- the curves
// -----------------------------------------------------------------------------------

namespace {

void require_positive(std::int64_t number, const char* name) {
  if (number <= 0)
    throw Error(
        ErrorCode::invalid_argument,
        "'" + std::string(name) + "' is " + std::to_string(number) + ", but must be above 0");
}

void require_rising(const std::vector<std::int64_t>& milestones) {
  if (!std::is_sorted(milestones.begin(), milestones.end()))
    throw Error(ErrorCode::invalid_argument, "the milestones do not rise");
}

/// How many milestones have been reached.
std::size_t reached(const std::vector<std::int64_t>& milestones, std::int64_t step) {
  return static_cast<std::size_t>(
      std::upper_bound(milestones.begin(), milestones.end(), step) - milestones.begin());
}

double power(double base, std::int64_t exponent) {
  return std::pow(base, static_cast<double>(exponent));
}

/// From `high` at 0 to `low` at 1.
double half_cosine(double high, double low, double at) {
  return low + (high - low) * (1 + std::cos(std::numbers::pi * at)) / 2;
}

double fraction(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

LrCurve step_curve(std::int64_t step_size, double gamma) {
  require_positive(step_size, "step_size");
  return
      [=](double initial, std::int64_t step) { return initial * power(gamma, step / step_size); };
}

LrCurve multi_step_curve(std::vector<std::int64_t> milestones, double gamma) {
  require_rising(milestones);
  return [milestones = std::move(milestones), gamma](double initial, std::int64_t step) {
    return initial * power(gamma, static_cast<std::int64_t>(reached(milestones, step)));
  };
}

LrCurve linear_curve(double start_factor, double end_factor, std::int64_t total_iters) {
  require_positive(total_iters, "total_iters");
  if (!(start_factor > 0 && start_factor <= 1 && end_factor >= 0 && end_factor <= 1))
    throw Error(
        ErrorCode::invalid_argument, "'start_factor' must be above 0 and both factors from 0 to 1");
  return [=](double initial, std::int64_t step) {
    const double done = fraction(std::min(step, total_iters), total_iters);
    return initial * (start_factor + (end_factor - start_factor) * done);
  };
}

LrCurve polynomial_curve(std::int64_t total_iters, double exponent) {
  require_positive(total_iters, "total_iters");
  return [=](double initial, std::int64_t step) {
    const double left = 1 - fraction(std::min(step, total_iters), total_iters);
    return initial * std::pow(left, exponent);
  };
}

LrCurve cosine_curve(std::int64_t t_max, double eta_min) {
  require_positive(t_max, "t_max");
  return [=](double initial, std::int64_t step) {
    return half_cosine(initial, eta_min, fraction(step, t_max));
  };
}

LrCurve restarts_curve(std::int64_t t_0, std::int64_t t_mult, double eta_min) {
  require_positive(t_0, "t_0");
  require_positive(t_mult, "t_mult");
  return [=](double initial, std::int64_t step) {
    std::int64_t length = t_0;
    std::int64_t within = t_mult == 1 ? step % t_0 : step;
    for (; within >= length; length *= t_mult) within -= length;
    return half_cosine(initial, eta_min, fraction(within, length));
  };
}

LrCurve sequential_curve(std::vector<LrCurve> curves, std::vector<std::int64_t> milestones) {
  require_rising(milestones);
  if (curves.size() != milestones.size() + 1)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(curves.size()) + " schedules need " +
            std::to_string(curves.empty() ? 0 : curves.size() - 1) +
            " milestones between them, not " + std::to_string(milestones.size()));
  return [curves = std::move(curves), milestones = std::move(milestones)](
             double initial, std::int64_t step) {
    const std::size_t which = reached(milestones, step);
    return curves[which](initial, which == 0 ? step : step - milestones[which - 1]);
  };
}

std::vector<LrCurve> curves_of(const std::vector<Schedule>& schedules) {
  std::vector<LrCurve> curves;
  for (const Schedule& schedule : schedules) curves.push_back(schedule.curve());
  return curves;
}

}  // namespace

LambdaLR::LambdaLR(Optimizer optimizer, std::function<double(std::int64_t step)> factor)
    : Schedule(
          std::move(optimizer), [factor = std::move(factor)](double initial, std::int64_t step) {
            return initial * factor(step);
          }) {}
StepLR::StepLR(Optimizer optimizer, std::int64_t step_size, double gamma)
    : Schedule(std::move(optimizer), step_curve(step_size, gamma)) {}
MultiStepLR::MultiStepLR(Optimizer optimizer, std::vector<std::int64_t> milestones, double gamma)
    : Schedule(std::move(optimizer), multi_step_curve(std::move(milestones), gamma)) {}
ExponentialLR::ExponentialLR(Optimizer optimizer, double gamma)
    : Schedule(std::move(optimizer), step_curve(1, gamma)) {}
ConstantLR::ConstantLR(Optimizer optimizer, double factor, std::int64_t total_iters)
    : Schedule(std::move(optimizer), [=](double initial, std::int64_t step) {
        return step < total_iters ? initial * factor : initial;
      }) {}
LinearLR::LinearLR(
    Optimizer optimizer, double start_factor, double end_factor, std::int64_t total_iters)
    : Schedule(std::move(optimizer), linear_curve(start_factor, end_factor, total_iters)) {}
PolynomialLR::PolynomialLR(Optimizer optimizer, std::int64_t total_iters, double power)
    : Schedule(std::move(optimizer), polynomial_curve(total_iters, power)) {}
CosineAnnealingLR::CosineAnnealingLR(Optimizer optimizer, std::int64_t t_max, double eta_min)
    : Schedule(std::move(optimizer), cosine_curve(t_max, eta_min)) {}
CosineAnnealingWarmRestarts::CosineAnnealingWarmRestarts(
    Optimizer optimizer, std::int64_t t_0, std::int64_t t_mult, double eta_min)
    : Schedule(std::move(optimizer), restarts_curve(t_0, t_mult, eta_min)) {}
SequentialLR::SequentialLR(
    Optimizer optimizer,
    const std::vector<Schedule>& schedules,
    std::vector<std::int64_t> milestones)
    : Schedule(
          std::move(optimizer), sequential_curve(curves_of(schedules), std::move(milestones))) {}
WarmupCosineLR::WarmupCosineLR(
    Optimizer optimizer,
    std::int64_t warmup_steps,
    std::int64_t total_steps,
    double eta_min,
    double start_factor)
    : Schedule(
          std::move(optimizer),
          sequential_curve(
              {linear_curve(start_factor, 1, warmup_steps),
               cosine_curve(total_steps - warmup_steps, eta_min)},
              {warmup_steps})) {}

}  // namespace troupe::optim
