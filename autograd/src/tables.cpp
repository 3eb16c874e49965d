#include "tables.hpp"

#include <troupe/tensor/record.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace troupe {

namespace {

/// The ops that an output or a parameter's new value depends on; what else was captured is dead.
std::unordered_set<const Record*> reachable(std::vector<const Record*> stack) {
  std::unordered_set<const Record*> seen(stack.begin(), stack.end());
  while (!stack.empty()) {
    auto* record = const_cast<Record*>(stack.back());
    stack.pop_back();
    if (!record->captured()) continue;
    for (const Edge& edge : record->inputs())
      if (seen.insert(edge.producer).second) stack.push_back(edge.producer);
  }
  return seen;
}

}  // namespace

Tables::Tables(Capture& capture, std::span<const Tensor> returned) {
  std::vector<const Record*> roots;
  for (const Tensor& tensor : returned) roots.push_back(tensor.record());
  for (const Capture::Used& used : capture.used_)
    for (const Tensor& tensor : used.current) roots.push_back(tensor.record());
  const auto alive = reachable(std::move(roots));

  std::unordered_map<const Record*, Cell> first_cell;
  const auto add_cell = [&](const Meta& meta) {
    metas.push_back(meta);
    return static_cast<Cell>(metas.size() - 1);
  };
  const auto enter = [&](const Tensor& leaf) {
    const Cell cell = add_cell(leaf.meta());
    first_cell.emplace(leaf.record(), cell);
    return cell;
  };
  const auto cell_of = [&](Record* record, std::uint32_t output) {
    const auto found = first_cell.find(record);
    if (found != first_cell.end()) return found->second + output;
    // A live tensor: bound for all steps.
    Cell first = static_cast<Cell>(metas.size());
    for (std::size_t k = 0; k < record->output_count(); ++k) add_cell(record->output(k));
    first_cell.emplace(record, first);
    for (std::uint32_t k = 0; k < record->output_count(); ++k)
      constants.emplace_back(first + k, Tensor::share(record, k).value());
    return first + output;
  };

  for (const Tensor& input : capture.inputs_) inputs.push_back(enter(input));
  for (auto& [leaf, source] : capture.scalars_) scalars.emplace_back(enter(leaf), source);
  for (const Capture::Used& used : capture.used_) {
    Held one;
    one.parameter = used.parameter;
    one.first_cell = enter(used.leaf);
    for (const Tensor& state : used.states) enter(state);
    one.states = static_cast<std::uint32_t>(used.states.size());
    one.written = used.written;
    held.push_back(std::move(one));
  }

  std::uint32_t random_calls = 0;
  std::unordered_set<const Record*> late;
  for (std::size_t number = 0; number < capture.order_.size(); ++number) {
    const Ref<Record>& record = capture.order_[number];
    const bool random = record->op()->info().random;
    const std::uint32_t random_number = random ? random_calls++ : 0;
    if (!alive.contains(record.get())) continue;
    Op op;
    op.op = record->op();
    op.where = record->where();
    op.first_input = static_cast<std::uint32_t>(operands.size());
    op.input_count = static_cast<std::uint32_t>(record->inputs().size());
    for (const Edge& edge : record->inputs())
      operands.push_back(cell_of(edge.producer, edge.output));
    op.output_count = static_cast<std::uint8_t>(record->output_count());
    op.first_output = static_cast<Cell>(metas.size());
    first_cell.emplace(record.get(), op.first_output);
    for (std::size_t k = 0; k < record->output_count(); ++k) add_cell(record->output(k));
    const OpInfo& info = op.op->info();
    op.late = info.donates >= 0;
    if (op.late && (info.id >= first_user_op || !is_computable(record->output(0).dtype)))
      late_in_place = false;
    for (const Edge& edge : record->inputs()) {
      if (!late.contains(edge.producer)) continue;
      op.late = true;
      late_in_place = false;
    }
    if (op.late) late.insert(record.get());
    op.random = random_number;
    op.vjp_of = capture.vjps_of_[number];
    late_ops += op.late;
    ops.push_back(std::move(op));
  }
  random_ops = random_calls;

  for (const Tensor& tensor : returned)
    outputs.push_back(cell_of(tensor.record(), tensor.output()));
  for (std::size_t i = 0; i < held.size(); ++i)
    for (const Tensor& tensor : capture.used_[i].current)
      held[i].results.push_back(cell_of(tensor.record(), tensor.output()));

  // Who waits for what. An op that reads a cell twice waits for it once.
  uses.assign(metas.size(), 0);
  consumers.assign(metas.size(), {});
  awaited.assign(ops.size(), 0);
  std::vector<std::vector<std::uint32_t>> readers(metas.size());
  for (std::uint32_t o = 0; o < ops.size(); ++o) {
    for (std::uint32_t i = 0; i < ops[o].input_count; ++i) {
      const Cell cell = operands[ops[o].first_input + i];
      ++uses[cell];
      if (!readers[cell].empty() && readers[cell].back() == o) continue;
      readers[cell].push_back(o);
      ++awaited[o];
    }
  }
  for (const Cell cell : outputs) ++uses[cell];
  for (const Held& one : held)
    for (const Cell cell : one.results) ++uses[cell];
  for (Cell cell = 0; cell < metas.size(); ++cell) {
    consumers[cell] = {
        static_cast<std::uint32_t>(consuming.size()),
        static_cast<std::uint32_t>(readers[cell].size())};
    consuming.insert(consuming.end(), readers[cell].begin(), readers[cell].end());
  }
  // Constants are there from the start: nobody waits for them within a step.
  const auto never_awaited = [&](Cell cell) {
    for (const std::uint32_t reader : readers[cell]) --awaited[reader];
    consumers[cell].count = 0;
  };
  for (const auto& constant : constants) never_awaited(constant.first);
}

std::string Tables::source_of(Cell cell) const {
  const std::string meta = troupe::to_string(metas[cell]);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i] == cell) return "the program's input " + std::to_string(i) + ", " + meta;
  for (const Held& one : held) {
    if (one.first_cell == cell) return "the parameter " + meta;
    if (cell > one.first_cell && cell <= one.first_cell + one.states)
      return "a state of the update of the parameter " + meta;
  }
  return "the tensor " + meta + " that the capture bound";
}

std::string Tables::to_string() const {
  std::string text;
  for (std::size_t o = 0; o < ops.size(); ++o) {
    const Op& op = ops[o];
    text += std::to_string(o) + "  " + std::string(op.op->info().name) + "(";
    for (std::uint32_t i = 0; i < op.input_count; ++i)
      text += (i ? ", %" : "%") + std::to_string(operands[op.first_input + i]);
    text += ") ->";
    for (std::uint32_t k = 0; k < op.output_count; ++k)
      text += " %" + std::to_string(op.first_output + k) + " " +
              troupe::to_string(metas[op.first_output + k]);
    text += "\n";
  }
  return text;
}

}  // namespace troupe
