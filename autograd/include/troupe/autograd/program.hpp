#pragma once

#include <troupe/autograd/passes.hpp>
#include <troupe/autograd/profile.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe {

/// A function of tensors, as people write it: it may read parameters, go backward and step
/// optimizers.
using GraphFunction = std::function<std::vector<Tensor>(std::span<const Tensor> inputs)>;

struct ProgramOptions {
  /// What the compiler does to the graph; the bits are the same with all and with none.
  Passes passes = Passes::all();
  /// On a device that can, the commands of a step are recorded once and submitted again for each
  /// step, in memory that the program then keeps. The bits are the same.
  bool record = true;
  /// Steps that may be on their way at once, each in memory of its own: where one waits, another
  /// goes on. A step that updates parameters begins with what the one before it left all the same.
  std::uint32_t steps_in_flight = 1;
  /// What a step computes in may take so many bytes, besides its inputs, outputs, parameters, what
  /// is kept packed of them, and results of 4 KiB and less; 0: as many as it likes. Where they
  /// would not do, some results are let go of and computed again, with the same bits. `capture`
  /// throws `out_of_memory`, naming the largest holders, where nothing helps.
  std::uint64_t memory_bytes = 0;
};

/// A captured graph, compiled once, driven by messages many times. Each run gives the same bits as
/// the same calls made define-by-run.
///
/// The function is called once, with tensors that have no data; what it returns are the program's
/// outputs. Gradients neither enter a run nor outlive it: a function that goes backward calls
/// `zero_grad`, and steps or reads them. A host `if` in it is frozen as it went; `item()` in it is
/// an error. Numbers that change from step to step, a learning rate say, enter by
/// `Capture::scalars`, as the optimizers do.
///
/// Threads   captured and run by one thread at a time.
/// Memory    small outputs are kept from run to run, and the weights of products that are only read
///           are once more, as their kernels read them; a steady run allocates nothing.
class Program {
 public:
  using Options = ProgramOptions;

  /// Captures on the current scope's device. Throws what the function throws; `unsupported` for
  /// what cannot be captured.
  [[nodiscard]] static Program capture(
      const GraphFunction& function,
      std::span<const Meta> inputs,
      Options options = {},
      Where where = Where::here());

  /// Runs one step and returns its outputs, which come when they are done; several runs may be
  /// asked for before the first is finished, and happen in their order. Throws `shape_mismatch`
  /// unless the inputs are as captured, `device_mismatch` unless they and the parameters are where
  /// it was captured.
  std::vector<Tensor> run(std::span<const Tensor> inputs, Where where = Where::here());
  /// The same into the caller's `outputs`, as many as the function returned; allocates nothing.
  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs, Where where = Where::here());

  [[nodiscard]] std::size_t output_count() const noexcept;
  /// Ops in the tables.
  [[nodiscard]] std::size_t op_count() const noexcept;
  /// Bytes that a step computes in, as `ProgramOptions::memory_bytes` counts them.
  [[nodiscard]] std::uint64_t peak_bytes() const noexcept;
  /// What was captured, as the passes left it.
  [[nodiscard]] const Graph& graph() const noexcept;
  /// One line an op: number, name, inputs, dtype and shape.
  [[nodiscard]] std::string to_string() const;

  /// Whether the steps that are asked for from now on are measured. Such a step gives the same
  /// bits, but runs alone and its ops one at a time, each from its launch to its completion, so
  /// that their times add up: together they take longer than where ops overlap. Failed steps do not
  /// count, nor do those that look for NaNs. Throws `unsupported` on a device that runs behind the
  /// caller, as GPUs do.
  void measure(bool on);
  /// Of the steps that were measured and are over.
  [[nodiscard]] ProgramProfile profile() const;

 private:
  struct Shared;
  explicit Program(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<Shared> shared_;
};

/// A function that is captured anew for each signature it meets: dtypes and shapes of the inputs,
/// device, gradient mode, and a key of the caller's, such as whether the model is training.
class CompiledFunction {
 public:
  explicit CompiledFunction(GraphFunction function, Program::Options options = {})
      : function_(std::move(function)), options_(options) {}

  /// The program for these inputs, captured if it is the first time. Lives as long as this does.
  Program& program(
      std::span<const Tensor> inputs, std::uint64_t key = 0, Where where = Where::here());
  std::vector<Tensor> operator()(
      std::span<const Tensor> inputs, std::uint64_t key = 0, Where where = Where::here()) {
    return program(inputs, key, where).run(inputs, where);
  }
  [[nodiscard]] std::size_t programs() const noexcept { return cached_.size(); }

  /// `Program::measure` for all programs, those not yet captured too.
  void measure(bool on);
  /// Of the program that most steps were measured of.
  [[nodiscard]] ProgramProfile profile() const;

 private:
  struct Cached {
    std::vector<Meta> inputs;
    const Device* device;
    bool grad_enabled;
    DType product_dtype;
    std::uint64_t key;
    Program program;
  };
  GraphFunction function_;
  Program::Options options_;
  bool measuring_ = false;
  std::deque<Cached> cached_;  // whose elements stay where they are
};

}  // namespace troupe
