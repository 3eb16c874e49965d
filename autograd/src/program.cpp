#include "parameter_actor.hpp"
#include "passes/lifetimes.hpp"
#include "profiler.hpp"
#include "program_actor.hpp"
#include "tables.hpp"

#include <troupe/autograd/capture.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>

#include <algorithm>
#include <optional>

namespace troupe {

struct Program::Shared {
  Device* device;
  std::uint64_t peak_bytes = 0;
  std::shared_ptr<const Tables> compiled;
  std::shared_ptr<RequestPool> requests;
  std::shared_ptr<Profiler> profiler;
  bool measuring = false;
  Address<RunStep> actor;
};

namespace {

/// Records into a capture for as long as it lives.
class WhileCapturing : ScopeChange {
 public:
  explicit WhileCapturing(Capture& capture) { set_builder(&capture); }
};

Error elsewhere(const Device& captured, const Device& found, const std::string& what, Where where) {
  return Error(
             ErrorCode::device_mismatch,
             "a program was captured on " + std::string(captured.name()) + ", but " + what +
                 std::string(found.name()))
      .at(where.file, where.line);
}

}  // namespace

Program Program::capture(
    const GraphFunction& function, std::span<const Meta> inputs, Options options, Where where) {
  Scope& scope = Scope::current();
  if (scope.builder())
    throw Error(ErrorCode::in_capture, "a capture was begun inside another")
        .at(where.file, where.line);
  auto shared = std::make_shared<Shared>();
  shared->device = &scope.device();
  // The numbers of random calls belong to the runs: what the capture would have drawn is not drawn.
  struct PutBack {
    RandomState& state;
    RandomState before = state;
    ~PutBack() { state = before; }
  } const random{scope.random()};
  scope.random().calls = 0;  // from where a function that seeds goes on as well
  std::optional<Graph> graph;
  {
    Capture capture(scope.device());
    std::vector<Tensor> given, returned;
    {
      const WhileCapturing capturing(capture);
      for (const Meta& meta : inputs) given.push_back(capture.input(meta, where));
      returned = function(given);
    }
    capture.check_gradients(where);
    for (const Tensor& tensor : returned)
      if (!tensor)
        throw Error(
            ErrorCode::invalid_argument, "the captured function returned an undefined tensor")
            .at(where.file, where.line);
    graph.emplace(capture, returned);
  }
  for (const Graph::Op& op : graph->ops)
    if (const Device& device = graph->device_of(op); !device.supports(op.info()))
      throw Error(
          ErrorCode::unsupported,
          std::string(device.name()) + " has no kernel for an op that was captured")
          .op(op.info().name)
          .at(op.nodes.front().where.file, op.nodes.front().where.line);
  // What nothing depends on holds no memory, and is looked at for no NaN, either way.
  if (options.passes.contains(Pass::dead_code)) run_passes(*graph, Passes::until(Pass::dead_code));
  auto plain = std::make_shared<const Tables>(*graph);
  run_passes(*graph, options.passes.without(Pass::dead_code), options.memory_bytes);
  shared->peak_bytes = graph->plan.bytes > 0 ? graph->plan.bytes : Lifetimes(*graph).peak().bytes;
  shared->compiled = std::make_shared<const Tables>(*std::move(graph));
  shared->requests = std::make_shared<RequestPool>(
      shared->compiled->graph,
      std::max(plain->graph.metas.size(), shared->compiled->graph.metas.size()));
  shared->profiler = std::make_shared<Profiler>();
  shared->actor = scope.system().spawn<ProgramActor>(
      ProgramState(
          scope.device(),
          shared->compiled,
          std::move(plain),
          shared->requests,
          shared->profiler,
          options.record),
      std::max(options.steps_in_flight, 1u));
  return Program(std::move(shared));
}

std::vector<Tensor> Program::run(std::span<const Tensor> inputs, Where where) {
  std::vector<Tensor> outputs(output_count());
  run(inputs, outputs, where);
  return outputs;
}

void Program::run(std::span<const Tensor> inputs, std::span<Tensor> outputs, Where where) {
  Scope& scope = Scope::current();
  const Graph& graph = shared_->compiled->graph;
  if (inputs.size() != graph.inputs.size() || outputs.size() != graph.outputs.size())
    throw Error(
        ErrorCode::invalid_argument,
        "a program of " + std::to_string(graph.inputs.size()) + " inputs and " +
            std::to_string(graph.outputs.size()) + " outputs was run with " +
            std::to_string(inputs.size()) + " and " + std::to_string(outputs.size()))
        .at(where.file, where.line);
  if (scope.builder())
    throw Error(ErrorCode::in_capture, "a program was run inside a capture, which runs nothing")
        .at(where.file, where.line)
        .hint("call the function that it was captured from");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i])
      throw Error(
          ErrorCode::invalid_argument, "input " + std::to_string(i) + " is an undefined tensor")
          .at(where.file, where.line);
    if (inputs[i].record()->captured())
      throw Error(
          ErrorCode::in_capture,
          "input " + std::to_string(i) + " was recorded by a capture and has no data")
          .at(where.file, where.line)
          .hint("let the captured function return it, and pass what a run returns");
    if (&inputs[i].record()->device() != shared_->device)
      throw elsewhere(
          *shared_->device,
          inputs[i].record()->device(),
          "input " + std::to_string(i) + " is on ",
          where)
          .hint("to(tensor, device) copies it over");
    const Meta& meta = graph.metas[graph.inputs[i]];
    if (inputs[i].meta() != meta)
      throw Error(
          ErrorCode::shape_mismatch,
          "input " + std::to_string(i) + " was captured as " + troupe::to_string(meta) +
              ", given as " + troupe::to_string(inputs[i].meta()))
          .at(where.file, where.line)
          .hint("CompiledFunction captures anew for each signature");
  }
  for (const Graph::Held& held : graph.held)
    if (const Device& captured = *graph.devices[held.first_cell];
        &held.parameter.device() != &captured)
      throw elsewhere(
          captured,
          held.parameter.device(),
          "a parameter " + troupe::to_string(held.parameter.meta()) + " has moved to ",
          where)
          .hint("capture the function anew where the model is");
  StepRequest* const request = shared_->requests->take();
  request->context = nullptr;
  request->inputs.assign(inputs.begin(), inputs.end());
  request->measured = shared_->measuring;
  request->random = scope.random();
  scope.random().calls += graph.random_calls;
  request->step = Engine::of(scope.system()).step.load(std::memory_order_relaxed);
  request->scalars.resize(graph.scalars.size());
  for (std::size_t i = 0; i < graph.scalars.size(); ++i) {
    request->scalars[i].resize(
        static_cast<std::size_t>(graph.metas[graph.scalars[i].first].elements()));
    graph.scalars[i].second(request->scalars[i]);
  }
  request->outputs.clear();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Graph::Cell cell = graph.outputs[i];
    Awaiting awaiting = make_awaiting(*graph.devices[cell], graph.metas[cell], nullptr, 0, where);
    outputs[i] = std::move(awaiting.tensor);
    request->outputs.push_back(std::move(awaiting.cell));
  }
  // What the handles cached of the parameters is of before this step.
  for (const Graph::Held& held : graph.held)
    if (held.written) held.parameter.forget_read();
  const std::uint32_t first_slot = request->first_slot;
  shared_->actor.send(RunStep{request->index});
  // Asked for by the caller, not by the program when the step begins: a step of another program, or
  // a read, that is asked for later must not come to a parameter before this one.
  for (const Graph::Held& held : graph.held)
    Address<Lend>(held.parameter.cell())
        .send(Lend{
            shared_->actor.cell(), first_slot + held.first_cell, held.states, held.only_read()});
  scope.system().run_ready();
}

std::size_t Program::output_count() const noexcept {
  return shared_->compiled->graph.outputs.size();
}
std::size_t Program::op_count() const noexcept { return shared_->compiled->ops.size(); }
std::uint64_t Program::peak_bytes() const noexcept { return shared_->peak_bytes; }
const Graph& Program::graph() const noexcept { return shared_->compiled->graph; }
void Program::measure(bool on) {
  for (const Device* device : shared_->compiled->graph.used_devices())
    if (on && !device->reads_at_once())
      throw Error(
          ErrorCode::unsupported,
          "ops are measured one by one, which " + std::string(device->name()) +
              " does not offer: it runs them behind the caller")
          .hint("measure on the device \"cpu\"");
  shared_->measuring = on;
}
ProgramProfile Program::profile() const {
  return shared_->profiler->profile(shared_->compiled->graph);
}
std::string Program::to_string() const { return shared_->compiled->graph.to_string(); }

Program& CompiledFunction::program(std::span<const Tensor> inputs, std::uint64_t key, Where where) {
  const bool grad_enabled = Scope::current().grad_enabled();
  const DType product_dtype = Scope::current().product_dtype();
  const Device* const device = &Scope::current().device();
  for (Cached& cached : cached_) {
    if (cached.key != key || cached.device != device || cached.grad_enabled != grad_enabled ||
        cached.product_dtype != product_dtype || cached.inputs.size() != inputs.size())
      continue;
    if (std::equal(
            inputs.begin(),
            inputs.end(),
            cached.inputs.begin(),
            [](const Tensor& t, const Meta& m) { return t && t.meta() == m; }))
      return cached.program;
  }
  std::vector<Meta> metas;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i])
      throw Error(
          ErrorCode::invalid_argument, "input " + std::to_string(i) + " is an undefined tensor")
          .at(where.file, where.line);
    metas.push_back(inputs[i].meta());
  }
  Program program = Program::capture(function_, metas, options_, where);
  program.measure(measuring_);
  cached_.push_back(
      {std::move(metas), device, grad_enabled, product_dtype, key, std::move(program)});
  return cached_.back().program;
}

void CompiledFunction::measure(bool on) {
  for (Cached& cached : cached_) cached.program.measure(on);
  measuring_ = on;
}

ProgramProfile CompiledFunction::profile() const {
  ProgramProfile most;
  for (const Cached& cached : cached_)
    if (ProgramProfile one = cached.program.profile(); one.steps > most.steps)
      most = std::move(one);
  return most;
}

}  // namespace troupe
