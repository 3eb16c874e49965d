#include <troupe/autograd/graph.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace troupe {

Graph::Cell Graph::add_cell(const Meta& meta, Device& device) {
  metas.push_back(meta);
  devices.push_back(&device);
  return static_cast<Cell>(metas.size() - 1);
}

std::vector<Device*> Graph::used_devices() const {
  std::vector<Device*> used;
  for (const Op& op : ops)
    if (std::find(used.begin(), used.end(), &device_of(op)) == used.end())
      used.push_back(&device_of(op));
  return used;
}

Graph::Graph(Capture& capture, std::span<const Tensor> returned) {
  plan.device = capture.device_;
  std::unordered_map<const Record*, Cell> first_cell;
  const auto enter = [&](const Tensor& leaf) {
    const Cell cell = add_cell(leaf.meta(), leaf.record()->device());
    first_cell.emplace(leaf.record(), cell);
    return cell;
  };
  const auto cell_of = [&](Record* record, std::uint32_t output) {
    const auto found = first_cell.find(record);
    if (found != first_cell.end()) return found->second + output;
    // A live tensor: bound for all steps.
    const auto first = static_cast<Cell>(metas.size());
    for (std::size_t k = 0; k < record->output_count(); ++k)
      (void)add_cell(record->output(k), record->device());
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
    for (const Tensor& state : used.states) (void)enter(state);
    one.states = static_cast<std::uint32_t>(used.states.size());
    one.written = used.written;
    held.push_back(std::move(one));
  }

  random_calls = Scope::current().random().calls - capture.random_.calls;
  auto call = capture.calls_.begin();
  std::unordered_set<const Record*> late;
  for (std::size_t number = 0; number < capture.order_.size(); ++number) {
    const Ref<Record>& record = capture.order_[number];
    const OpInfo& info = record->op()->info();
    Op op;
    op.op = record->op();
    op.nodes.push_back(
        {static_cast<std::uint32_t>(number), info.name, capture.vjps_of_[number], record->where()});
    for (const Edge& edge : record->inputs())
      op.inputs.push_back(cell_of(edge.producer, edge.output));
    const auto first = static_cast<Cell>(metas.size());
    first_cell.emplace(record.get(), first);
    for (std::size_t k = 0; k < record->output_count(); ++k)
      op.outputs.push_back(add_cell(record->output(k), record->device()));
    op.late = info.donates >= 0;
    if (op.late && (info.id >= first_user_op || !is_computable(record->output(0).dtype)))
      late_in_place = false;
    for (const Edge& edge : record->inputs()) {
      if (!late.contains(edge.producer)) continue;
      op.late = true;
      late_in_place = false;
    }
    if (op.late) late.insert(record.get());
    if (info.random) op.random = *call++;
    ops.push_back(std::move(op));
  }

  for (const Tensor& tensor : returned)
    outputs.push_back(cell_of(tensor.record(), tensor.output()));
  for (std::size_t i = 0; i < held.size(); ++i)
    for (const Tensor& tensor : capture.used_[i].current)
      held[i].results.push_back(cell_of(tensor.record(), tensor.output()));
}

std::string Graph::source_of(Cell cell) const {
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

std::string name_of(const Graph::Op& op) {
  std::string name;
  for (const Graph::Node& node : op.nodes)
    name += (name.empty() ? "" : " + ") + std::string(node.op);
  return name;
}

std::string Graph::to_string() const {
  std::string text;
  for (std::size_t o = 0; o < ops.size(); ++o) {
    const Op& op = ops[o];
    text += std::to_string(o) + "  " + name_of(op) + "(";
    for (std::size_t i = 0; i < op.inputs.size(); ++i)
      text += (i ? ", %" : "%") + std::to_string(op.inputs[i]);
    text += ") ->";
    for (const Cell cell : op.outputs)
      text += " %" + std::to_string(cell) + " " + troupe::to_string(metas[cell]);
    text += "\n";
  }
  return text;
}

}  // namespace troupe
