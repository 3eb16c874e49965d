#pragma once

#include <troupe/autograd/parameter.hpp>
#include <troupe/nn/state_dict.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

class Device;

namespace nn {

/// What did not fit between a module and a state dict, by name.
struct IncompatibleKeys {
  std::vector<std::string> missing;     ///< in the module, not in the dict
  std::vector<std::string> unexpected;  ///< in the dict, not in the module
};

/// What layers and models are made of: parameters, buffers and other modules, each under a name,
/// and whether the whole is training. A model derives from it, holds its layers as members and
/// registers them; PyTorch's names and order hold.
///
///     struct Net : nn::Module {
///       nn::Linear fc1 = register_module("fc1", nn::Linear(784, 512));
///       nn::Linear fc2 = register_module("fc2", nn::Linear(512, 10));
///       Tensor forward(const Tensor& x) const { return fc2(relu(fc1(x))); }
///     };
///
/// A module is a handle, as `Parameter` is: copies share parameters, buffers, children and mode. So
/// a layer may be held by value, returned and passed on, and there is never a second set of weights
/// by accident. What a derived class adds besides handles is copied with it.
///
/// Threads   one at a time for a module and its copies.
/// Errors    registering throws `invalid_argument` for a name that is empty, taken or has a dot in
/// it,
///           and for a module inside itself.
class Module {
 public:
  Module() : Module("Module") {}
  /// @param type         as `type()` tells it: "Linear"
  /// @param description  the settings, for people: "in_features=784, out_features=512"
  explicit Module(std::string_view type, std::string description = "");

  [[nodiscard]] const std::string& type() const noexcept;
  [[nodiscard]] const std::string& description() const noexcept;

  // --- building -------------------------------------------------------------------------------

  /// Each gives back what it was given, so that a member can be registered where it is declared. An
  /// undefined parameter takes the name but is listed nowhere: a layer without bias.
  Parameter register_parameter(std::string_view name, Parameter parameter);
  Parameter register_parameter(std::string_view name, const Tensor& initial);
  /// A value without gradient that belongs to the state: a running mean. One that is not persistent
  /// stays out of the state dict.
  Parameter register_buffer(std::string_view name, const Tensor& initial, bool persistent = true);
  template <std::derived_from<Module> M>
  M register_module(std::string_view name, M module) {
    add_child(name, module);
    return module;
  }

  // --- looking --------------------------------------------------------------------------------

  /// Own ones first, then each child's; one that is registered twice comes once.
  [[nodiscard]] std::vector<Parameter> parameters() const;
  [[nodiscard]] std::vector<std::pair<std::string, Parameter>> named_parameters() const;
  [[nodiscard]] std::vector<Parameter> buffers() const;
  [[nodiscard]] std::vector<std::pair<std::string, Parameter>> named_buffers() const;
  /// This module's own children, without theirs.
  [[nodiscard]] std::vector<std::pair<std::string, Module>> named_children() const;
  /// This module, named "", and all below it.
  [[nodiscard]] std::vector<std::pair<std::string, Module>> named_modules() const;
  /// A parameter or buffer by its path, "layers.0.weight"; throws `invalid_argument` listing the
  /// names there are.
  [[nodiscard]] Parameter parameter(std::string_view path) const;
  /// Elements in all parameters.
  [[nodiscard]] std::int64_t parameter_count() const;

  // --- changing -------------------------------------------------------------------------------

  [[nodiscard]] bool training() const noexcept;
  /// Sets the mode of this module and all below it.
  void train(bool training = true) const;
  void eval() const { train(false); }
  /// Forgets the gradients of all parameters.
  void zero_grad() const;
  /// Whether gradients are kept, for all parameters: false freezes them.
  void requires_grad_(bool requires_grad = true) const;
  /// Moves all parameters and buffers. Optimizer states go along; what was captured before does
  /// not. Takes back what `place` said of this module and all below it.
  void to(Device& device) const;
  /// The same without reading anything, as from a device that is lost: values are zeros until they
  /// are loaded; gradients and optimizer states are gone.
  void to_empty(Device& device) const;
  /// Where `place` put the module; null: nowhere in particular.
  [[nodiscard]] Device* placement() const noexcept;
  /// Calls a function with each module, children before the one that holds them.
  void apply(const std::function<void(Module&)>& visit) const;

  // --- saving ---------------------------------------------------------------------------------

  /// The parameters and persistent buffers as they are now, without history. Training on does not
  /// change what was returned.
  [[nodiscard]] StateDict state_dict() const;
  /// Replaces the values. Floating-point tensors are converted to the parameter's dtype.
  ///
  /// Throws `file_mismatch` that lists all that does not fit: wrong shapes and dtypes and, when
  /// `strict`, missing and unexpected names. Then nothing was changed.
  IncompatibleKeys load_state_dict(const StateDict& state, bool strict = true) const;

  /// One line a layer: name, type, shapes of its parameters, their number; totals below.
  /// `nn::summary` adds the output shapes.
  [[nodiscard]] std::string summary() const;

  /// The same module, not merely an equal one.
  friend bool operator==(const Module& a, const Module& b) noexcept { return a.state_ == b.state_; }

 protected:
  /// While it lives, a call of a module is made: its input is where the module was placed, and new
  /// tensors go there.
  class Call {
   public:
    Call(const Module& module, const Operand& input);
    [[nodiscard]] const Operand& input() const noexcept { return input_; }

   private:
    Tensor moved_;
    Operand input_;
    std::optional<OnDevice> there_;
  };

  /// Tells whoever watches, as `nn::summary` does, what a call made.
  void note_output(const Tensor& output) const;
  void set_description(std::string description) const;

 private:
  friend class ShapeWatch;
  friend void place(const Module& module, Device& device);
  struct State;
  explicit Module(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
  void add_child(std::string_view name, const Module& child) const;
  void set_placement(Device* device) const;

  std::shared_ptr<State> state_;
};

/// Base of modules that map one tensor to one tensor by `Tensor forward(const Operand&) const`:
/// makes them callable, so that errors name the caller's line.
template <class Self>
class Layer : public Module {
 public:
  Tensor operator()(const Operand& input) const {
    const Call call(*this, input);
    Tensor output = static_cast<const Self&>(*this).forward(call.input());
    note_output(output);
    return output;
  }

 protected:
  explicit Layer(std::string_view type, std::string description = "")
      : Module(type, std::move(description)) {}
};

/// Puts a module and all below it on a device: parameters and buffers move there, and from now on
/// each call of one of its layers brings its input there, by `to`, and leaves its result there; the
/// gradient travels back the same way. What is called next and was placed brings the result to its
/// own place: so place the whole model first, and then the parts that go elsewhere.
///
///     nn::place(model, cpu);
///     nn::place(model.middle, gpu);
///
/// Bits      those of the same model on one device, where the devices compute alike.
/// Threads   as the module's.
/// Errors    those of `Parameter::to`.
void place(const Module& module, Device& device);
/// The same by name, "vulkan:0"; throws `device_mismatch` for a device that is not attached.
void place(const Module& module, std::string_view device);

/// The module and all below it as an indented tree of types and settings, as PyTorch prints them.
[[nodiscard]] std::string to_string(const Module& module);

}  // namespace nn
}  // namespace troupe
