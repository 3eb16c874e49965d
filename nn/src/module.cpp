#include "module_state.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/module.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <set>

namespace troupe::nn {

namespace {

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

/// "a, b, c", or the first few and how many more.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t shown_max = 20;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown_max; ++i)
    text += (i ? ", " : "") + names[i];
  if (names.size() > shown_max)
    text += " and " + std::to_string(names.size() - shown_max) + " more";
  return text;
}

/// The value as a parameter takes it, where it takes it; null when there is no such conversion.
Tensor converted(const Tensor& value, const Parameter& parameter) {
  if (value.dtype() == parameter.dtype()) return to(value, parameter.device());
  if (!is_floating(value.dtype()) || !is_floating(parameter.dtype())) return {};
  return to(cast(value, parameter.dtype()), parameter.device());
}

}  // namespace

Module::Module(std::string_view type, std::string description) : state_(std::make_shared<State>()) {
  state_->type = type;
  state_->description = std::move(description);
}

const std::string& Module::type() const noexcept { return state_->type; }
const std::string& Module::description() const noexcept { return state_->description; }
void Module::set_description(std::string description) const {
  state_->description = std::move(description);
}

// --- building
// -------------------------------------------------------------------------------------

namespace {

template <class State>
void check_name(const State& state, std::string_view name) {
  const auto fail = [&](const char* why) {
    throw Error(
        ErrorCode::invalid_argument,
        "'" + std::string(name) + "' cannot be registered in " + state.type + ": " + why);
  };
  if (name.empty()) fail("a name must not be empty");
  if (name.find('.') != std::string_view::npos) fail("dots part the names of a path");
  const auto named = [&](const auto& entry) { return entry.name == name; };
  if (std::any_of(state.parameters.begin(), state.parameters.end(), named) ||
      std::any_of(state.buffers.begin(), state.buffers.end(), named) ||
      std::any_of(state.children.begin(), state.children.end(), [&](const auto& child) {
        return child.first == name;
      }))
    fail("the name is taken");
}

template <class State>
bool is_within(const std::shared_ptr<State>& what, const std::shared_ptr<State>& where) {
  return what == where ||
         std::any_of(where->children.begin(), where->children.end(), [&](const auto& child) {
           return is_within(what, child.second);
         });
}

/// Calls `visit(path, state)` for a module and all below it, parents first.
template <class State, class Visit>
void walk(const std::shared_ptr<State>& state, const std::string& path, const Visit& visit) {
  visit(path, state);
  for (const auto& [name, child] : state->children) walk(child, join(path, name), visit);
}

}  // namespace

Parameter Module::register_parameter(std::string_view name, Parameter parameter) {
  check_name(*state_, name);
  state_->parameters.push_back({std::string(name), parameter});
  return parameter;
}

Parameter Module::register_parameter(std::string_view name, const Tensor& initial) {
  return register_parameter(name, Parameter(initial));
}

Parameter Module::register_buffer(std::string_view name, const Tensor& initial, bool persistent) {
  check_name(*state_, name);
  const Parameter buffer = initial ? Parameter(initial, /*requires_grad=*/false) : Parameter();
  state_->buffers.push_back({std::string(name), buffer, persistent});
  return buffer;
}

void Module::add_child(std::string_view name, const Module& child) const {
  check_name(*state_, name);
  if (is_within(state_, child.state_))
    throw Error(
        ErrorCode::invalid_argument,
        state_->type + " cannot hold '" + std::string(name) + "', which holds it already");
  state_->children.emplace_back(name, child.state_);
}

// --- looking
// --------------------------------------------------------------------------------------

namespace {

template <class State, class Entries>
std::vector<std::pair<std::string, Parameter>> named_once(
    const std::shared_ptr<State>& state, Entries State::*entries) {
  std::vector<std::pair<std::string, Parameter>> found;
  std::set<const ActorCell*> seen;
  walk(state, "", [&](const std::string& path, const std::shared_ptr<State>& module) {
    for (const auto& entry : (*module).*entries)
      if (entry.parameter && seen.insert(entry.parameter.cell().get()).second)
        found.emplace_back(join(path, entry.name), entry.parameter);
  });
  return found;
}

std::vector<Parameter> without_names(const std::vector<std::pair<std::string, Parameter>>& named) {
  std::vector<Parameter> parameters;
  parameters.reserve(named.size());
  for (const auto& [name, parameter] : named) parameters.push_back(parameter);
  return parameters;
}

}  // namespace

std::vector<std::pair<std::string, Parameter>> Module::named_parameters() const {
  return named_once(state_, &State::parameters);
}
std::vector<std::pair<std::string, Parameter>> Module::named_buffers() const {
  return named_once(state_, &State::buffers);
}
std::vector<Parameter> Module::parameters() const { return without_names(named_parameters()); }
std::vector<Parameter> Module::buffers() const { return without_names(named_buffers()); }

std::vector<std::pair<std::string, Module>> Module::named_children() const {
  std::vector<std::pair<std::string, Module>> children;
  for (const auto& [name, child] : state_->children) children.emplace_back(name, Module(child));
  return children;
}

std::vector<std::pair<std::string, Module>> Module::named_modules() const {
  std::vector<std::pair<std::string, Module>> modules;
  std::set<const State*> seen;
  walk(state_, "", [&](const std::string& path, const std::shared_ptr<State>& state) {
    if (seen.insert(state.get()).second) modules.emplace_back(path, Module(state));
  });
  return modules;
}

Parameter Module::parameter(std::string_view path) const {
  std::vector<std::string> names;
  for (const auto& named : {named_parameters(), named_buffers()})
    for (const auto& [name, parameter] : named) {
      if (name == path) return parameter;
      names.push_back(name);
    }
  throw Error(
      ErrorCode::invalid_argument,
      state_->type + " has no parameter or buffer '" + std::string(path) + "'")
      .hint("it has " + (names.empty() ? "none" : listed(names)));
}

std::int64_t Module::parameter_count() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters()) count += parameter.meta().elements();
  return count;
}

// --- changing
// -------------------------------------------------------------------------------------

bool Module::training() const noexcept { return state_->training; }

void Module::train(bool training) const {
  walk(state_, "", [&](const std::string&, const std::shared_ptr<State>& state) {
    state->training = training;
  });
}

void Module::zero_grad() const {
  for (Parameter& parameter : parameters()) parameter.zero_grad();
}

void Module::requires_grad_(bool requires_grad) const {
  for (Parameter& parameter : parameters()) parameter.set_requires_grad(requires_grad);
}

void Module::to(Device& device) const {
  for (Parameter& parameter : parameters()) parameter.to(device);
  for (Parameter& buffer : buffers()) buffer.to(device);
  set_placement(nullptr);
}

void Module::to_empty(Device& device) const {
  for (Parameter& parameter : parameters()) parameter.to_empty(device);
  for (Parameter& buffer : buffers()) buffer.to_empty(device);
  set_placement(nullptr);
}

Device* Module::placement() const noexcept { return state_->placement; }

void Module::set_placement(Device* device) const {
  walk(state_, "", [&](const std::string&, const std::shared_ptr<State>& state) {
    state->placement = device;
  });
}

void place(const Module& module, Device& device) {
  module.to(device);
  module.set_placement(&device);
}

void place(const Module& module, std::string_view device) {
  const std::vector<Parameter> parameters = module.parameters();
  System& system = parameters.empty() ? Scope::current().system() : parameters[0].device().system();
  place(module, Devices::of(system).get(device));
}

Module::Call::Call(const Module& module, const Operand& input) : input_(input) {
  Device* const device = module.placement();
  if (!device) return;
  there_.emplace(*device);
  if (input.is_number() || !input.tensor()) return;  // for the layer to refuse
  moved_ = troupe::to(input.tensor(), *device, input.where());
  input_ = Operand(moved_, input.where());
}

void Module::apply(const std::function<void(Module&)>& visit) const {
  for (const auto& [name, child] : state_->children) Module(child).apply(visit);
  Module self(state_);
  visit(self);
}

// --- saving
// ---------------------------------------------------------------------------------------

StateDict Module::state_dict() const {
  StateDict state;
  const auto add = [&](const std::string& path, const State::Entry& entry) {
    if (entry.parameter && entry.persistent)
      state.emplace_back(join(path, entry.name), entry.parameter.tensor().detach());
  };
  walk(state_, "", [&](const std::string& path, const std::shared_ptr<State>& module) {
    for (const State::Entry& entry : module->parameters) add(path, entry);
    for (const State::Entry& entry : module->buffers) add(path, entry);
  });
  return state;
}

IncompatibleKeys Module::load_state_dict(const StateDict& state, bool strict) const {
  IncompatibleKeys keys;
  std::vector<std::string> mismatched;
  std::vector<std::pair<Parameter, Tensor>> changes;
  std::set<std::string> wanted;

  const NoGrad no_grad;
  const auto match = [&](const std::string& name, const State::Entry& entry) {
    if (!entry.parameter || !entry.persistent) return;
    wanted.insert(name);
    const Tensor* found = find(state, name);
    if (!found) {
      keys.missing.push_back(name);
      return;
    }
    const Parameter& parameter = entry.parameter;
    const Tensor value =
        found->shape() == parameter.shape() ? converted(*found, parameter) : Tensor();
    if (!value)
      mismatched.push_back(
          name + " (" + to_string(found->meta()) + " for " + to_string(parameter.meta()) + ")");
    else
      changes.emplace_back(parameter, value);
  };
  walk(state_, "", [&](const std::string& path, const std::shared_ptr<State>& module) {
    for (const State::Entry& entry : module->parameters) match(join(path, entry.name), entry);
    for (const State::Entry& entry : module->buffers) match(join(path, entry.name), entry);
  });
  for (const auto& [name, value] : state)
    if (!wanted.contains(name)) keys.unexpected.push_back(name);

  std::string faults;
  if (!mismatched.empty()) faults += "; wrong shape or dtype: " + listed(mismatched);
  if (strict && !keys.missing.empty()) faults += "; missing: " + listed(keys.missing);
  if (strict && !keys.unexpected.empty()) faults += "; unexpected: " + listed(keys.unexpected);
  if (!faults.empty())
    throw Error(
        ErrorCode::file_mismatch,
        "the state does not fit " + state_->type + ": " + faults.substr(2))
        .hint("was it saved from a model with other settings?");

  for (auto& [parameter, value] : changes) parameter.set(value);
  return keys;
}

// --- telling
// --------------------------------------------------------------------------------------

void Module::note_output(const Tensor& output) const {
  if (state_->watch && output) *state_->watch = output.shape();
}

namespace {

std::string indented(const Module& module, const std::string& indent) {
  std::string text = module.type() + "(" + module.description();
  const auto children = module.named_children();
  if (children.empty()) return text + ")";
  text += "\n";
  for (const auto& [name, child] : children)
    text += indent + "  (" + name + "): " + indented(child, indent + "  ") + "\n";
  return text + indent + ")";
}

}  // namespace

std::string to_string(const Module& module) { return indented(module, ""); }

}  // namespace troupe::nn
