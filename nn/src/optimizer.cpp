#include <troupe/autograd/capture.hpp>
#include <troupe/core/error.hpp>
#include <troupe/nn/optimizer.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace troupe::optim {

struct Optimizer::Group {
  std::vector<Parameter> parameters;
  double lr;
  double initial_lr;
  io::Tree settings;
  OpRef rule;
  std::uint32_t states;
  std::int64_t step = 0;
};

struct Optimizer::Shared {
  Method method;
  std::vector<Group> groups;
  std::vector<ParameterUpdate> updates;  // of the step being asked for; kept for its memory
};

namespace {

void check_lr(double lr) {
  if (!(lr >= 0))
    throw Error(
        ErrorCode::invalid_argument, "the learning rate " + std::to_string(lr) + " is negative");
}

/// Update rules get the number of the step as a double, which tells no more of them apart.
constexpr std::int64_t steps_max = std::int64_t{1} << 53;

bool is_rate(double lr) { return std::isfinite(lr) && lr >= 0; }

std::string name_of_state(std::size_t parameter, const std::string& state) {
  return std::to_string(parameter) + "." + state;
}

}  // namespace

Optimizer::Optimizer(
    Method method, const std::vector<Parameter>& parameters, double lr, io::Tree settings)
    : shared_(std::make_shared<Shared>(Shared{std::move(method), {}, {}})) {
  add_param_group(parameters, lr, std::move(settings));
}

void Optimizer::add_param_group(
    const std::vector<Parameter>& parameters, double lr, io::Tree settings) {
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, shared_->method.name + " was given " + why);
  };
  if (parameters.empty()) fail("no parameters");
  std::vector<Parameter> known;
  for (const Group& group : shared_->groups)
    known.insert(known.end(), group.parameters.begin(), group.parameters.end());
  for (const Parameter& parameter : parameters) {
    if (!parameter) fail("an undefined parameter");
    if (std::find(known.begin(), known.end(), parameter) != known.end())
      fail("a parameter " + to_string(parameter.meta()) + " twice");
    known.push_back(parameter);
  }
  check_lr(lr);
  shared_->method.check(settings);

  Group group{parameters, lr, lr, std::move(settings), nullptr, 0};
  group.rule = shared_->method.rule(group.settings);
  group.states = static_cast<std::uint32_t>(shared_->method.states(group.settings).size());
  shared_->groups.push_back(std::move(group));
}

// --- settings
// -------------------------------------------------------------------------------------

Optimizer::Group& Optimizer::group(std::size_t i) const {
  if (i >= shared_->groups.size())
    throw Error(
        ErrorCode::invalid_argument,
        "group " + std::to_string(i) + " of an optimizer with " +
            std::to_string(shared_->groups.size()));
  return shared_->groups[i];
}

std::size_t Optimizer::groups() const noexcept { return shared_->groups.size(); }
const std::vector<Parameter>& Optimizer::parameters(std::size_t i) const {
  return group(i).parameters;
}
const io::Tree& Optimizer::settings(std::size_t i) const { return group(i).settings; }
double Optimizer::lr(std::size_t i) const { return group(i).lr; }
double Optimizer::initial_lr(std::size_t i) const { return group(i).initial_lr; }
std::int64_t Optimizer::steps(std::size_t i) const { return group(i).step; }

void Optimizer::set_steps(std::int64_t steps, std::size_t i) {
  if (steps < 0 || steps > group(i).step)
    throw Error(
        ErrorCode::invalid_argument,
        "a count of " + std::to_string(steps) + " steps, of " + std::to_string(group(i).step));
  group(i).step = steps;
}

void Optimizer::set_lr(double lr, std::size_t i) {
  check_lr(lr);
  group(i).lr = lr;
}

void Optimizer::set_lr(double lr) {
  check_lr(lr);
  for (Group& group : shared_->groups) group.lr = lr;
}

// --- stepping
// -------------------------------------------------------------------------------------

void Optimizer::zero_grad() {
  for (Group& group : shared_->groups)
    for (Parameter& parameter : group.parameters) parameter.zero_grad();
}

void Optimizer::step(Where where) {
  Capture* const capture = Capture::current();
  shared_->updates.clear();
  for (std::size_t i = 0; i < shared_->groups.size(); ++i) {
    Group& group = shared_->groups[i];
    Tensor scalars;
    Device* scalars_on = nullptr;
    if (capture) {
      // Asked when a step of the program is admitted: the count and the rate are those of that
      // step.
      scalars = capture->scalars(
          [shared = shared_, i](std::span<double> numbers) {
            Group& group = shared->groups[i];
            numbers[0] = group.lr;
            numbers[1] = static_cast<double>(++group.step);
          },
          2);
    } else {
      ++group.step;
    }
    for (Parameter& parameter : group.parameters) {
      if (!parameter.requires_grad()) continue;
      if (!capture && scalars_on != &parameter.device()) {
        scalars_on = &parameter.device();
        const OnDevice there(*scalars_on);
        const double numbers[] = {group.lr, static_cast<double>(group.step)};
        scalars = Tensor::copy_of<double>(numbers, {2});
      }
      shared_->updates.push_back({parameter, group.rule, group.states, scalars});
    }
  }
  // Together: where one parameter's gradient failed, the step changes none.
  apply_together(shared_->updates, where);
  shared_->updates.clear();
}

// --- saving
// ---------------------------------------------------------------------------------------

OptimizerState Optimizer::state_dict() const {
  OptimizerState state;
  state.settings["type"] = shared_->method.name;
  io::Tree::List groups;
  std::size_t number = 0;
  for (const Group& group : shared_->groups) {
    io::Tree tree;
    tree["lr"] = group.lr;
    tree["initial_lr"] = group.initial_lr;
    tree["step"] = group.step;
    tree["settings"] = group.settings;
    tree["parameters"] = group.parameters.size();
    groups.push_back(std::move(tree));
    const std::vector<std::string> names = shared_->method.states(group.settings);
    for (const Parameter& parameter : group.parameters) {
      const std::vector<Tensor> states = parameter.states();
      for (std::size_t i = 0; i < std::min(states.size(), names.size()); ++i)
        state.tensors.emplace_back(name_of_state(number, names[i]), states[i]);
      ++number;
    }
  }
  state.settings["groups"] = std::move(groups);
  return state;
}

void Optimizer::load_state_dict(const OptimizerState& state) {
  std::vector<std::string> faults;
  const auto check = [&](bool fits, const std::string& fault) {
    if (!fits) faults.push_back(fault);
    return fits;
  };
  const std::string& type = state.settings.at("type").as_string();
  const io::Tree::List& saved = state.settings.at("groups").as_list();
  check(type == shared_->method.name, "it was saved by " + type);
  check(
      saved.size() == groups(),
      std::to_string(saved.size()) + " groups for " + std::to_string(groups()));

  std::vector<Group> changed;
  std::vector<std::pair<Parameter, std::vector<Tensor>>> states;
  std::size_t number = 0;
  std::size_t used = 0;
  for (std::size_t i = 0; faults.empty() && i < groups(); ++i) {
    Group group = shared_->groups[i];
    const auto count = static_cast<std::size_t>(saved[i].at("parameters").as_uint());
    if (!check(
            count == group.parameters.size(),
            "group " + std::to_string(i) + ": " + std::to_string(count) + " parameters for " +
                std::to_string(group.parameters.size())))
      break;
    group.lr = saved[i].at("lr").as_double();
    group.initial_lr = saved[i].at("initial_lr").as_double();
    group.step = saved[i].at("step").as_int();
    group.settings = saved[i].at("settings");
    const std::string where = "group " + std::to_string(i) + ": ";
    check(is_rate(group.lr), where + "'lr' is " + std::to_string(group.lr));
    check(is_rate(group.initial_lr), where + "'initial_lr' is " + std::to_string(group.initial_lr));
    check(
        group.step >= 0 && group.step <= steps_max,
        where + "'step' is " + std::to_string(group.step));
    std::vector<std::string> names;
    try {
      shared_->method.check(group.settings);
      group.rule = shared_->method.rule(group.settings);
      names = shared_->method.states(group.settings);
    } catch (const Error& error) {
      check(false, where + error.message());
    }
    if (!faults.empty()) break;
    group.states = static_cast<std::uint32_t>(names.size());
    for (const Parameter& parameter : group.parameters) {
      std::vector<Tensor> loaded;
      for (const std::string& name : names) {
        const std::string full = name_of_state(number, name);
        const Tensor* tensor = nn::find(state.tensors, full);
        if (!tensor) continue;
        ++used;
        if (check(
                tensor->meta() == parameter.meta(),
                full + " is " + to_string(tensor->meta()) + " for " + to_string(parameter.meta())))
          loaded.push_back(to(*tensor, parameter.device()));
      }
      // None at all: saved before the parameter's first update.
      check(
          loaded.empty() || loaded.size() == names.size(),
          "only some states of parameter " + std::to_string(number));
      states.emplace_back(parameter, std::move(loaded));
      ++number;
    }
    changed.push_back(std::move(group));
  }
  if (faults.empty())
    check(
        used == state.tensors.size(),
        std::to_string(state.tensors.size() - used) + " tensors of no parameter");
  if (!faults.empty()) {
    std::string text;
    for (const std::string& fault : faults) text += (text.empty() ? "" : "; ") + fault;
    throw Error(
        ErrorCode::file_mismatch,
        "the state does not fit this " + shared_->method.name + ": " + text);
  }
  shared_->groups = std::move(changed);
  for (auto& [parameter, loaded] : states) parameter.set_states(loaded);
}

}  // namespace troupe::optim
