#include "step_context.hpp"

#include "parameter_actor.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/launch.hpp>
#include <troupe/tensor/record.hpp>

#include <algorithm>
#include <functional>
#include <utility>

namespace troupe {

ProgramState::ProgramState(
    Device& device,
    std::shared_ptr<const Tables> compiled,
    std::shared_ptr<const Tables> plain,
    std::shared_ptr<RequestPool> pool,
    std::shared_ptr<Profiler> profiler,
    bool may_record)
    : device(device),
      compiled(std::move(compiled)),
      plain(std::move(plain)),
      pool(std::move(pool)),
      profiler(std::move(profiler)),
      arenas(Arenas::of(device)),
      may_record(may_record),
      kept(this->compiled->graph.kept.size()) {}

StepContext::StepContext(ProgramState& program) : program_(program) {
  for (const Tables* tables : {program.compiled.get(), program.plain.get()}) {
    const auto grow = [](auto& list, std::size_t size) {
      if (list.size() < size) list.resize(size);
    };
    for (std::vector<Value>* cells : {&cells_, &spare_, &lent_})
      grow(*cells, tables->graph.metas.size());
    grow(versions_, tables->graph.metas.size());
    grow(uses_, tables->uses.size());
    grow(awaited_, tables->awaited.size());
    ready_.reserve(tables->ops.size());
    ready_late_.reserve(tables->ops.size());
    grow(launch_inputs_, tables->inputs_max);
    grow(launch_outputs_, tables->outputs_most);
  }
}

StepContext::~StepContext() { give_memory_back(); }

void StepContext::begin(StepRequest& request) {
  current_ = &request;
  trapping_ = traps_nan(program_.device.system());
  tables_ = (trapping_ ? program_.plain : program_.compiled).get();
  measuring_ = request.measured && !trapping_;
  if (measuring_) spans_.assign(program_.compiled->ops.size(), OpSpan{});
  if (trapping_) give_memory_back();  // which is for the compiled ops
  const Tables& tables = *tables_;
  std::copy(tables.uses.begin(), tables.uses.end(), uses_.begin());
  std::copy(tables.awaited.begin(), tables.awaited.end(), awaited_.begin());
  late_left_ = tables.late_ops;
  ops_left_ = static_cast<std::uint32_t>(tables.ops.size()) - late_left_;
  failure_.reset();
  failed_outside_ = false;
  writing_in_place_ = false;
  next_op_ = 0;
  for (const auto& [cell, value] : tables.graph.constants) {
    cells_[cell] = value;
    versions_[cell] = 1;
  }

  outside_left_ = static_cast<std::uint32_t>(tables.graph.inputs.size());
  for (const Tables::Held& held : tables.graph.held) outside_left_ += 1 + held.states;
  // The first step is never recorded: what it compiles and allocates is not needed again.
  as_recorded_ = program_.may_record && !alone() && program_.worth_recording;
  on_trial_before_ = program_.device.launches_on_trial();
  if (!as_recorded_) upload_scalars();
  for (std::size_t i = 0; i < tables.graph.inputs.size(); ++i)
    subscribe_input(request.inputs[i], program_.actor, request.first_slot + tables.graph.inputs[i]);
  for (Tensor& input : request.inputs) input = Tensor();
  // Ops that read constants alone wait for nothing.
  for (std::uint32_t o = 0; o < tables.ops.size(); ++o)
    if (awaited_[o] == 0 && tables.awaited[o] == 0)
      (tables.ops[o].late && !trapping_ ? ready_late_ : ready_).push_back(o);
  std::make_heap(ready_.begin(), ready_.end(), std::greater<>{});
  // What parameters that are only read had lent before the step's turn came.
  for (auto& [cell, value, version] : request.early) take_in(cell, std::move(value), version);
  request.early.clear();
  run_ready_ops();
}

void StepContext::receive(Tables::Cell cell, Value value, std::uint64_t version) {
  take_in(cell, std::move(value), version);
  run_ready_ops();
}

void StepContext::complete(std::uint32_t op, const Error* failure) {
  --under_way_;
  if (failure && !failure_) {
    const Graph::Node& node = tables_->ops[op].node;
    Error error = *failure;
    failure_ = ValueBody::failed(
        program_.device.system(),
        std::move(error.op(node.op).at(node.where.file, node.where.line).step(current_->step)));
  }
  finish_op(op);
  run_ready_ops();
}

void StepContext::take_in(Tables::Cell cell, Value value, std::uint64_t version) {
  --outside_left_;
  versions_[cell] = version;
  if (value && value->error()) {
    // What came in failed earlier than any op here; of several, neither does arrival decide.
    const auto place = [](const Value& failure, Tables::Cell at) {
      return std::pair(failure->failure_order(), at);
    };
    if (!failed_outside_ || place(value, cell) < place(failure_, failed_input_)) {
      failure_ = std::move(value);
      failed_input_ = cell;
      failed_outside_ = true;
    }
  } else {
    arrive(cell, std::move(value));
  }
}

void StepContext::arrive(Tables::Cell cell, Value value) {
  if (tables_->lent[cell]) lent_[cell] = value;
  cells_[cell] = std::move(value);
  made(cell);
}

void StepContext::made(Tables::Cell cell) {
  const Tables& tables = *tables_;
  const Tables::Range range = tables.consumers[cell];
  for (std::uint32_t i = range.first; i < range.first + range.count; ++i) {
    const std::uint32_t op = tables.consuming[i];
    if (--awaited_[op] != 0) continue;
    if (tables.ops[op].late && !trapping_) {
      ready_late_.push_back(op);
    } else {
      auto& ready = tables.ops[op].first && !alone() ? ready_first_ : ready_;
      ready.push_back(op);
      std::push_heap(ready.begin(), ready.end(), std::greater<>{});
    }
  }
  if (uses_[cell] == 0) cells_[cell].reset();
}

bool StepContext::may_launch_next() const noexcept {
  if (failure_ || (ready_.empty() && ready_first_.empty())) return false;
  if (measuring_) return under_way_ == 0;
  return !trapping_ || (under_way_ == 0 && ready_.front() == next_op_);
}

bool StepContext::may_write_in_place() const {
  const Tables& tables = *tables_;
  if (!tables.graph.late_in_place) return false;
  for (const std::uint32_t number : ready_late_) {
    const Tables::Op& op = tables.ops[number];
    for (std::uint32_t k = 0; k < op.output_count; ++k) {
      const Tables::Cell cell =
          tables.inputs_of(op)[k + static_cast<std::uint32_t>(op.op->info().donates)];
      if (uses_[cell] != 1 ||
          !may_be_written(cells_[cell], tables.metas_of(op)[k], lent_[cell] ? 2 : 1))
        return false;
    }
  }
  return true;
}

void StepContext::upload_scalars() {
  for (std::size_t i = 0; i < tables_->graph.scalars.size(); ++i) {
    const Tables::Cell cell = tables_->graph.scalars[i].first;
    const std::span<const double> numbers = current_->scalars[i];
    Value scalars;
    try {
      scalars = program_.device.upload(tables_->graph.metas[cell], std::as_bytes(numbers));
    } catch (...) {  // the device is lost, or full
      failure_ = ValueBody::failed(program_.device.system(), current_error().step(current_->step));
      break;
    }
    arrive(cell, std::move(scalars));
  }
}

void StepContext::take_memory() {
  const Graph& graph = tables_->graph;
  if (graph.plan.bytes == 0 || arena_) return;
  arena_ = program_.arenas->take(graph.plan.bytes);
  const Value all =
      ValueBody::make(Meta{DType::uint8, {static_cast<std::int64_t>(graph.plan.bytes)}}, arena_);
  planned_.resize(graph.metas.size());
  for (Tables::Cell cell = 0; cell < graph.metas.size(); ++cell) {
    const std::uint64_t offset = graph.plan.offsets[cell];
    if (offset == MemoryPlan::none) continue;
    const Meta& meta = graph.metas[cell];
    planned_[cell] = ValueBody::view(
        all,
        meta,
        contiguous_strides(meta.shape),
        static_cast<std::int64_t>(offset / size_of(meta.dtype)));
  }
}

void StepContext::give_memory_back() noexcept {
  if (!arena_) return;
  planned_.clear();
  program_.arenas->give_back(std::move(arena_));
  arena_.reset();
}

bool StepContext::run_recorded() {
  constexpr std::uint32_t holders = 2;  // the cell, and `lent_`
  constexpr std::uint32_t misfits_max = 3;
  try {
    if (!program_.recorded)
      program_.recorded = RecordedStep::record(program_.device, *tables_, cells_);
    if (program_.recorded && program_.recorded->fits(cells_, holders)) {
      program_.recorded->begin(cells_, current_->scalars);
    } else {
      // No such device or program; or parameters moved, and are perhaps at rest after this step.
      program_.may_record = program_.recorded && ++program_.misfits < misfits_max;
      program_.recorded.reset();
      return false;
    }
  } catch (...) {
    // Whatever it was, a lack of memory say, the step itself may do without.
    program_.may_record = false;
    program_.recorded.reset();
    return false;
  }
  program_.misfits = 0;
  try {
    std::vector<Value>* const outputs =
        program_.recorded->run(cells_, current_->random.seed, current_->random.call());
    if (!outputs) {  // memory is short: recorded again, it would be taken again
      program_.may_record = false;
      program_.recorded.reset();
      return false;
    }
    for (std::size_t i = 0; i < outputs->size(); ++i)
      cells_[tables_->graph.outputs[i]] = std::move((*outputs)[i]);
  } catch (...) {
    failure_ = ValueBody::failed(
        program_.device.system(), std::move(current_error().step(current_->step)));
  }
  for (const Tables::Held& held : tables_->graph.held)
    for (std::size_t i = 0; i < held.results.size(); ++i)
      cells_[held.results[i]] = lent_[held.first_cell + i];
  end();
  return true;
}

void StepContext::run_ready_ops() {
  if (as_recorded_) {
    if (outside_left_ != 0) return;
    as_recorded_ = false;
    if (!failure_) {
      if (run_recorded()) return;
      upload_scalars();
    }
  }
  while (true) {
    while (may_launch_next()) {
      auto& ready = ready_first_.empty() ? ready_ : ready_first_;
      std::pop_heap(ready.begin(), ready.end(), std::greater<>{});
      const std::uint32_t op = ready.back();
      ready.pop_back();
      launch(op);
    }
    if (failure_ || ops_left_ != 0 || under_way_ != 0 || ready_late_.empty()) break;
    // If nothing can fail any more, what the parameters lent need not be kept and is written over.
    writing_in_place_ = may_write_in_place();
    if (writing_in_place_)
      for (const Tables::Held& held : tables_->graph.held)
        for (std::uint32_t i = 0; i <= held.states; ++i) lent_[held.first_cell + i].reset();
    ready_.swap(ready_late_);
    std::make_heap(ready_.begin(), ready_.end(), std::greater<>{});
  }
  end_if_done();
}

void StepContext::launch(std::uint32_t number) {
  const Tables& tables = *tables_;
  const Tables::Op& op = tables.ops[number];
  const std::span<Value> inputs(launch_inputs_.data(), op.input_count);
  const std::span<Value> outputs(launch_outputs_.data(), op.output_count);
  for (std::uint32_t i = 0; i < op.input_count; ++i) {
    const Tables::Cell cell = tables.inputs_of(op)[i];
    // The last reader takes the value along, so that its memory may be used again, or in place.
    // Under the trap it stays, to be looked at.
    inputs[i] = --uses_[cell] == 0 && !trapping_ ? std::move(cells_[cell]) : cells_[cell];
  }
  Tracer& tracer = program_.device.system().tracer();
  std::uint64_t began = tracer.on() ? tracer.now() : 0;
  if (measuring_) spans_[number].began_ns = program_.device.system().clock().now_ns();
  Ticket ticket;
  if (is_kept(op)) {
    outputs[0] = program_.kept[op.kept].value;
    began = 0;
  } else {
    try {
      ticket = run(op, inputs, outputs);
    } catch (...) {
      // What was to be written over is still what it was, and goes back.
      for (std::uint32_t i = 0; op.late && i < op.input_count; ++i)
        lent_[tables.inputs_of(op)[i]] = inputs[i];
      fail(number);
    }
  }
  if (began) tracer.span(trace_name(number), began);
  for (Value& value : inputs) value.reset();
  for (std::uint32_t k = 0; k < op.output_count; ++k) {
    Value value = std::move(outputs[k]);
    if (!failure_) cells_[tables.outputs_of(op)[k]] = std::move(value);
  }
  if (failure_) return;
  if (ticket) {
    ++under_way_;
    ticket->notify(
        Address<Completed>(program_.actor), std::uint64_t{current_->index} << 32 | number);
  } else {
    finish_op(number);
  }
}

bool StepContext::is_kept(const Tables::Op& op) const noexcept {
  if (op.kept == Tables::not_kept) return false;
  const std::uint64_t version = versions_[tables_->graph.kept[op.kept].source];
  return version != 0 && version == program_.kept[op.kept].version;
}

Ticket StepContext::run(const Tables::Op& op, std::span<Value> inputs, std::span<Value> outputs) {
  take_memory();
  const auto is_free = [](const Value& value) {
    return value && value->unique() && value->buffer()->unique();
  };
  for (std::uint32_t k = 0; k < op.output_count; ++k) {
    const Tables::Cell cell = tables_->outputs_of(op)[k];
    if (cell < planned_.size() && planned_[cell])
      outputs[k] = planned_[cell];
    else if (is_free(spare_[cell]))
      outputs[k] = std::move(spare_[cell]);
  }
  if (op.kept != Tables::not_kept) {
    // Written over, unless a step beside this one reads it still.
    KeptResult& last = program_.kept[op.kept];
    last.version = 0;
    if (is_free(last.value)) outputs[0] = std::move(last.value);
  }
  return launch_op(
      *op.device,
      *op.op,
      inputs,
      tables_->metas_of(op),
      current_->random.seed,
      current_->random.call() + op.random,
      op.node.where,
      outputs);
}

std::string_view StepContext::trace_name(std::uint32_t number) {
  const Graph::Op& op = tables_->graph.ops[number];
  if (tables_ != program_.compiled.get()) return op.nodes.front().op;
  if (trace_names_.empty()) trace_names_.resize(tables_->ops.size());
  std::string_view& name = trace_names_[number];
  if (name.empty()) {
    std::string text;
    for (const Graph::Node& node : op.nodes)
      text +=
          (text.empty() ? "" : " + ") + std::string(node.op) + " #" + std::to_string(node.number);
    name = program_.device.system().tracer().keep(text);
  }
  return name;
}

void StepContext::finish_op(std::uint32_t number) {
  const Tables::Op& op = tables_->ops[number];
  --(op.late ? late_left_ : ops_left_);
  if (failure_) return;
  if (measuring_) spans_[number].ended_ns = program_.device.system().clock().now_ns();
  if (trapping_) {
    check_nan(number);
    next_op_ = number + 1;
  }
  if (op.kept != Tables::not_kept)
    program_.kept[op.kept] = {
        versions_[tables_->graph.kept[op.kept].source], cells_[tables_->outputs_of(op)[0]]};
  for (const Tables::Cell cell : tables_->outputs_of(op)) {
    if (!op.late && op.kept == Tables::not_kept && op.op->info().family != OpFamily::view &&
        tables_->graph.metas[cell].bytes() <= small_bytes_max)
      spare_[cell] = cells_[cell];
    made(cell);
  }
}

void StepContext::check_nan(std::uint32_t number) {
  const Tables::Op& op = tables_->ops[number];
  for (const Tables::Cell cell : tables_->outputs_of(op)) {
    const Value& value = cells_[cell];
    if (!value || !has_nan(value)) continue;
    const std::string_view name = op.op->info().name;
    std::uint32_t giver = 0;
    Tables::Cell given = 0;
    for (; giver < op.input_count; ++giver) {
      given = tables_->inputs_of(op)[giver];
      if (cells_[given] && has_nan(cells_[given])) break;
    }
    Error error = giver < op.input_count
                      ? nan_came_in(name, giver, tables_->graph.source_of(given), op.node.vjp_of)
                      : nan_made(name, value->meta(), op.node.vjp_of);
    error.at(op.node.where.file, op.node.where.line).step(current_->step);
    failure_ = ValueBody::failed(program_.device.system(), std::move(error));
    return;
  }
}

void StepContext::fail(std::uint32_t number) {
  const Tables::Op& op = tables_->ops[number];
  Error error = current_error();
  if (error.op().empty()) {
    std::string shapes;
    for (std::uint32_t i = 0; i < op.input_count; ++i)
      shapes += (i ? ", " : "") + to_string(tables_->graph.metas[tables_->inputs_of(op)[i]]);
    error = Error(error.code(), error.message() + " (inputs: " + shapes + ")")
                .hint(error.hint())
                .at(error.file(), error.line())
                .op(op.node.op);
  }
  if (error.file().empty()) error.at(op.node.where.file, op.node.where.line);
  if (error.step() < 0) error.step(current_->step);
  failure_ = ValueBody::failed(program_.device.system(), std::move(error));
}

void StepContext::end_if_done() {
  if (!current_ || outside_left_ != 0 || under_way_ != 0) return;
  if (!failure_ && (ops_left_ != 0 || late_left_ != 0)) return;
  end();
}

void StepContext::end() {
  program_.worth_recording = program_.device.launches_on_trial() == on_trial_before_;
  if (measuring_ && !failure_)
    program_.profiler->add(spans_, program_.device.system().clock().now_ns());
  const Tables& tables = *tables_;
  StepRequest* done = std::exchange(current_, nullptr);
  // A result may stand in more than one place, so parameters come last and may take it along.
  for (std::size_t i = 0; i < tables.graph.outputs.size(); ++i)
    Address<Input>(done->outputs[i])
        .send(Input{0, failure_ ? failure_ : cells_[tables.graph.outputs[i]]});
  done->outputs.clear();
  std::size_t number = 0;
  for (const Tables::Held& held : tables.graph.held) {
    if (held.only_read()) {
      number += held.results.size();
      continue;
    }
    GiveBack back;
    for (std::size_t i = 0; i < held.results.size(); ++i) {
      const Tables::Cell own = held.first_cell + static_cast<Tables::Cell>(i);
      Value& result = cells_[held.results[i]];
      // Should a step that could not fail have failed: a parameter never ends without a value.
      Value& kept = lent_[own] || !writing_in_place_ ? lent_[own] : result ? result : cells_[own];
      // Two parameters may have been set to one tensor: the last of them takes it along.
      const bool last = tables.last_result[number++];
      back.values[i] = failure_ ? std::move(kept) : last ? std::move(result) : result;
    }
    Address<GiveBack>(held.parameter.cell()).send(std::move(back));
  }
  for (Value& value : cells_) value.reset();
  for (Value& value : lent_) value.reset();
  ready_.clear();
  ready_first_.clear();
  ready_late_.clear();
  failure_.reset();
  program_.pool->give_back(done);
  if (!program_.steps_wait()) give_memory_back();
}

}  // namespace troupe
