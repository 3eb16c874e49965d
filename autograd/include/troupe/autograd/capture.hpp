#pragma once

#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/builder.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe {

struct Graph;

/// Fills the numbers that change from step to step, such as a learning rate; called when a step is
/// admitted.
using ScalarSource = std::function<void(std::span<double> numbers)>;

/// Records the ops that a function calls, runs none of them, and changes no parameter: what a
/// `Program` is compiled from. Parameters become reads in each step, their changes recorded writes;
/// live tensors become constants bound to the program.
///
/// Threads   used by the one thread whose scope it is installed in.
class Capture final : public Builder {
 public:
  /// @param device  on which inputs and scalars come; ops may be on others
  explicit Capture(Device& device);
  ~Capture() override;
  /// The capture of this thread's scope; null while graphs run live.
  [[nodiscard]] static Capture* current() noexcept;

  void add(
      Device& device,
      const OpRef& op,
      std::span<const Tensor* const> inputs,
      std::span<const Meta> metas,
      bool requires_grad,
      Where where,
      std::span<Tensor> outputs) override;

  /// A tensor that each run of the program is given.
  [[nodiscard]] Tensor input(const Meta& meta, Where where = Where::here());
  /// float64[count], filled by `source` for each step.
  [[nodiscard]] Tensor scalars(ScalarSource source, std::size_t count);

  // --- what Parameter's calls become ------------------------------------------------------------

  [[nodiscard]] const Tensor& read(const Parameter& parameter);
  void backward(const Tensor& root, const Tensor& gradient, Where where);
  [[nodiscard]] Tensor grad(const Parameter& parameter);
  void zero_grad(const Parameter& parameter);
  void set_grad(const Parameter& parameter, const Tensor& gradient);
  void set(const Parameter& parameter, const Tensor& value);
  void apply(
      const Parameter& parameter,
      const OpRef& rule,
      std::uint32_t states,
      const Tensor& scalars,
      Where where);

  /// The captured function has returned. Throws `unsupported` if each run of it would go on from
  /// gradients that the last one left: a program takes none in and leaves none behind.
  void check_gradients(Where where) const;

 private:
  friend struct Graph;

  /// One parameter as the captured function sees it: place 0 is the value, then the states.
  struct Used {
    Parameter parameter;
    Tensor leaf;                  // the read that opens the step
    std::vector<Tensor> states;   // likewise, for the states of its update rule
    std::vector<Tensor> current;  // what value and states are by now
    bool written = false;
    Tensor gradient;
    bool gradient_summed = false;  // by a backward pass
    bool gradient_cleared = false;
    bool gradient_left = false;  // nothing has used it yet
  };
  Used& used(const Parameter& parameter);
  [[nodiscard]] static Tensor make_leaf(
      Device& device, const Meta& meta, Ref<ActorCell> sink, Where where);

  Device* device_;
  std::vector<Ref<Record>> order_;         // every op, in the order of the calls
  std::vector<std::string_view> vjps_of_;  // for each, the op whose gradient it is part of, if any
  RandomState random_;                     // as it was when the capture began
  std::vector<std::uint64_t> calls_;       // for each random op: its call, counted from there
  std::vector<Tensor> inputs_;
  std::vector<std::pair<Tensor, ScalarSource>> scalars_;
  std::vector<Used> used_;
  std::unordered_map<const ActorCell*, std::size_t> index_of_;
};

}  // namespace troupe
