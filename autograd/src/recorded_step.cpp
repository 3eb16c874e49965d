#include "recorded_step.hpp"

#include <troupe/tensor/launch.hpp>
#include <troupe/tensor/ops/copy.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

std::unique_ptr<RecordedStep> RecordedStep::record(
    Device& device, const Tables& tables, std::span<const Value> lent) {
  for (const Tables::Op& op : tables.ops)
    if (op.device != &device || op.op->info().family == OpFamily::transfer ||
        op.op->info().family == OpFamily::exchange)
      return nullptr;
  std::size_t count = 0;
  for (const auto& [cell, source] : tables.graph.scalars)
    count += static_cast<std::size_t>(tables.graph.metas[cell].elements());
  std::unique_ptr<RecordedStep> step(new RecordedStep(device, tables));
  step->recording_ = device.record(count);
  if (!step->recording_) return nullptr;
  Device& into = step->recording_->device();
  step->copy_ = make_op(Copy{});
  step->numbers_.resize(count);

  std::vector<Value> cells(tables.graph.metas.size());
  for (const auto& [cell, value] : tables.graph.constants) cells[cell] = value;
  for (const Tables::Cell cell : tables.graph.inputs) {
    const Meta& meta = tables.graph.metas[cell];
    // Not of the recording's memory: what fills it comes before the recorded step.
    cells[cell] = ValueBody::make(meta, device.allocate(meta.bytes()));
    step->slots_.push_back(cells[cell]);
  }
  std::int64_t at = step->recording_->numbers()->offset();
  for (const auto& [cell, source] : tables.graph.scalars) {
    const Meta& meta = tables.graph.metas[cell];
    cells[cell] =
        ValueBody::view(step->recording_->numbers(), meta, contiguous_strides(meta.shape), at);
    at += meta.elements();
  }
  for (const Tables::Held& held : tables.graph.held)
    for (std::uint32_t i = 0; i <= held.states; ++i) {
      const Tables::Cell cell = held.first_cell + i;
      cells[cell] = lent[cell];
      step->lent_.push_back(cell);
      step->places_.push_back(step->recording_->place_of(lent[cell]));
    }

  std::vector<std::uint32_t> uses = tables.uses;
  const auto donor = [&](const Tables::Op& op, std::uint32_t output) {
    return tables.inputs_of(op)[output + static_cast<std::uint32_t>(op.op->info().donates)];
  };
  for (const bool late : {false, true})
    for (const Tables::Op& op : tables.ops) {
      if (op.late != late) continue;
      for (std::uint32_t k = 0; late && k < op.output_count; ++k)
        if (uses[donor(op, k)] != 1) return nullptr;  // somebody else reads it still
      std::vector<Value> inputs(op.input_count);
      std::vector<Value> outputs(op.output_count);
      for (std::uint32_t i = 0; i < op.input_count; ++i) {
        const Tables::Cell cell = tables.inputs_of(op)[i];
        // The last reader takes the value along, so that its memory is used again.
        inputs[i] = --uses[cell] == 0 ? std::move(cells[cell]) : cells[cell];
      }
      for (std::uint32_t k = 0; late && k < op.output_count; ++k)
        outputs[k] = inputs[k + static_cast<std::size_t>(op.op->info().donates)];
      const Ticket ticket = launch_op(
          into, *op.op, inputs, tables.metas_of(op), 0, op.random, op.node.where, outputs);
      if (ticket) return nullptr;
      for (std::uint32_t k = 0; k < op.output_count; ++k)
        if (const Tables::Cell cell = tables.outputs_of(op)[k]; uses[cell] > 0)
          cells[cell] = std::move(outputs[k]);
    }

  for (const Tables::Cell cell : tables.graph.outputs) {
    Value& output = step->outputs_.emplace_back();
    if (make_contiguous(into, cells[cell], output)) return nullptr;
    // A parameter's own memory is never held from step to step, or it could not be written over.
    for (const Tables::Cell own : step->lent_)
      if (output->buffer() == lent[own]->buffer()) return nullptr;
  }
  for (const Tables::Held& held : tables.graph.held)
    for (std::size_t i = 0; i < held.results.size(); ++i) {
      const Tables::Cell own = held.first_cell + static_cast<Tables::Cell>(i);
      if (held.results[i] == own) continue;
      if (cells[held.results[i]] != lent[own]) return nullptr;  // not in place
      step->written_.push_back(own);
    }
  step->recording_->finish();
  return step;
}

bool RecordedStep::fits(std::span<const Value> cells, std::uint32_t holders) const noexcept {
  for (std::size_t i = 0; i < lent_.size(); ++i) {
    const Value& value = cells[lent_[i]];
    if (!value->contiguous() || recording_->place_of(value) != places_[i]) return false;
  }
  return std::all_of(written_.begin(), written_.end(), [&](Tables::Cell cell) {
    return may_be_written(cells[cell], tables_.graph.metas[cell], holders);
  });
}

void RecordedStep::copy(const Value& from, const Value& to) const {
  if (to->meta().elements() == 0) return;
  (void)device_.launch(Launch{copy_.get(), {&from, 1}, {&to, 1}, 0, 0});
}

void RecordedStep::begin(
    std::span<const Value> cells, std::span<const std::vector<double>> scalars) {
  results_.clear();
  for (const Value& output : outputs_)
    results_.push_back(
        ValueBody::make(output->shared_meta(), device_.allocate(output->meta().bytes())));
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (const Value& input = cells[tables_.graph.inputs[i]]) copy(input, slots_[i]);
  auto at = numbers_.begin();
  for (const std::vector<double>& numbers : scalars)
    at = std::copy(numbers.begin(), numbers.end(), at);
}

std::vector<Value>* RecordedStep::run(
    std::span<const Value> cells, std::uint64_t random_seed, std::uint64_t random_call) {
  std::vector<Value> written;
  for (const Tables::Cell cell : written_) written.push_back(cells[cell]);
  if (!recording_->replay(numbers_, random_seed, random_call, written)) return nullptr;
  for (std::size_t i = 0; i < outputs_.size(); ++i) copy(outputs_[i], results_[i]);
  return &results_;
}

}  // namespace troupe
