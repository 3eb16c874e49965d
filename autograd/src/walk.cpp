#include "walk.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

namespace troupe {

bool wants_gradient(Record& record, std::size_t i) noexcept {
  const Edge& edge = record.inputs()[i];
  return edge.producer->requires_grad() && !(i < 32 && (record.op()->info().no_gradient >> i & 1));
}

Walk::Walk(
    Engine& engine,
    std::uint64_t pass,
    std::span<const Tensor> roots,
    std::span<const Tensor> targets,
    Where where)
    : lock_(engine.walk), pass_(pass) {
  struct Frame {
    Record* record;
    std::size_t next;
  };
  std::pmr::vector<Frame> stack(&memory_);
  stack.reserve(64);
  order_.reserve(64);
  // walk_index: 0 while below is being visited, then 1 if the record is to be gone through, else 2.
  const auto is_target = [&](const Record* record) {
    return std::any_of(targets.begin(), targets.end(), [&](const Tensor& target) {
      return target.record() == record;
    });
  };
  const auto enter = [&](Record* record) {
    if (record->freed())
      throw Error(
          ErrorCode::graph_freed,
          "a backward pass went through this graph already and did not retain it")
          .at(where.file, where.line)
          .hint("pass retain_graph = true to the earlier pass, or compute the graph again");
    record->walk_pass = pass;
    record->walk_count = 0;
    record->walk_index = targets.empty() || is_target(record) ? 1 : 0;
    stack.push_back({record, 0});
  };
  for (const Tensor& root : roots) {
    if (root.record()->walk_pass != pass) enter(root.record());
    while (!stack.empty()) {
      Frame& frame = stack.back();
      Record* record = frame.record;
      const std::size_t edges = record->inputs().size();
      while (frame.next < edges && !wants_gradient(*record, frame.next)) ++frame.next;
      if (frame.next < edges) {
        Record* producer = record->inputs()[frame.next++].producer;
        if (producer->walk_pass != pass) enter(producer);
        continue;
      }
      stack.pop_back();
      for (std::size_t i = 0; i < edges; ++i)
        if (wants_gradient(*record, i) && record->inputs()[i].producer->walk_index == 1)
          record->walk_index = 1;
      if (record->walk_index == 1) order_.push_back(record);
    }
  }
  std::reverse(order_.begin(), order_.end());
  for (Record* record : order_)
    for (std::size_t i = 0; i < record->inputs().size(); ++i)
      if (follows(*record, i)) ++record->inputs()[i].producer->walk_count;
  for (const Tensor& root : roots)
    if (root.record()->walk_index == 1) ++root.record()->walk_count;
}

bool Walk::follows(Record& record, std::size_t edge) const noexcept {
  return wants_gradient(record, edge) && record.inputs()[edge].producer->walk_index == 1;
}

std::uint32_t Walk::needed(Record& record) const noexcept {
  std::uint32_t mask = 0;
  const std::size_t edges = std::min<std::size_t>(record.inputs().size(), 32);
  for (std::size_t i = 0; i < edges; ++i)
    if (follows(record, i)) mask |= 1u << i;
  return mask;
}

Tensor root_gradient(const Tensor& root, const Tensor& gradient, Where where) {
  for (const Tensor* tensor : {&root, &gradient}) {
    if (tensor == &root && !root)
      throw Error(ErrorCode::invalid_argument, "a backward pass was started at an undefined tensor")
          .at(where.file, where.line);
    if (*tensor && tensor->record()->captured() && !Scope::current().builder())
      throw Error(
          ErrorCode::in_capture,
          "a backward pass was given a tensor " + to_string(tensor->meta()) +
              " that a capture recorded, outside of it")
          .at(where.file, where.line)
          .hint("go backward in the captured function, or compute the tensor outside of it");
  }
  if (!root.requires_grad())
    throw Error(
        ErrorCode::not_differentiable,
        "the tensor " + to_string(root.meta()) + " depends on nothing that requires a gradient")
        .at(where.file, where.line)
        .hint("use parameters or requires_grad(tensor), outside of NoGrad and detach()");
  if (gradient) {
    if (gradient.meta() != root.meta())
      throw Error(
          ErrorCode::shape_mismatch,
          "the gradient " + to_string(gradient.meta()) + " does not fit the tensor " +
              to_string(root.meta()))
          .at(where.file, where.line);
    return gradient;
  }
  if (root.elements() != 1)
    throw Error(
        ErrorCode::shape_mismatch,
        "a gradient can be left out only for one element, not for " + to_string(root.meta()))
        .at(where.file, where.line)
        .hint("reduce the tensor with sum() or mean() first, or pass its gradient");
  std::byte bytes[8];
  const auto put = [&]<class T>(T one) { std::memcpy(bytes, &one, sizeof one); };
  switch (root.dtype()) {
    case DType::float64:
      put(1.0);
      break;
    case DType::float16:
      put(Float16{0x3c00});
      break;
    case DType::bfloat16:
      put(BFloat16{0x3f80});
      break;
    default:
      put(1.0f);
      break;
  }
  Device& device = root.record()->device();
  return Tensor::constant(
      device.upload(root.meta(), std::span<const std::byte>(bytes, size_of(root.dtype()))), where);
}

std::vector<Tensor> symbolic_backward(
    std::span<const Tensor> roots,
    std::span<const Tensor> root_gradients,
    std::span<const Tensor> targets,
    void (*on_leaf)(void* context, Record& leaf, const Tensor& gradient),
    void* context,
    Where where) {
  System& system = Scope::current().system();
  Engine& engine = Engine::of(system);
  const std::uint64_t pass = engine.next_pass();
  struct Arrived {
    std::uint32_t output;
    std::uint32_t ordinal;
    Tensor gradient;
  };
  struct Visit {
    Ref<Record> record;
    std::uint32_t needed;
    std::vector<bool> follows;  // for each edge
  };
  std::vector<Visit> visits;
  {
    // The marks are copied: a vjp or a hook may begin a pass of its own.
    const Walk walk(engine, pass, roots, targets, where);
    for (Record* record : walk.order()) {
      Visit& visit = visits.emplace_back();
      visit.record = Ref<Record>::share(record);
      visit.needed = walk.needed(*record);
      for (std::size_t i = 0; i < record->inputs().size(); ++i)
        visit.follows.push_back(walk.follows(*record, i));
    }
  }
  std::unordered_map<Record*, std::vector<Arrived>> arrived;
  for (std::size_t i = 0; i < roots.size(); ++i)
    arrived[roots[i].record()].push_back({roots[i].output(), ~0u, root_gradients[i]});
  std::vector<Tensor> asked(targets.size());

  for (std::uint32_t position = 0; position < visits.size(); ++position) {
    Record* const record = visits[position].record.get();
    Turn turn{
        record->is_leaf() ? Where{} : record->where(),
        engine.step.load(std::memory_order_relaxed),
        failure_order(pass, position),
        record->is_leaf() ? "parameter" : record->op()->info().name,
        traps_nan(system)};
    const InTurn in_turn(turn);
    const OnDevice there(record->device());
    std::vector<Arrived>& came = arrived[record];
    std::stable_sort(came.begin(), came.end(), [](const Arrived& a, const Arrived& b) {
      return a.ordinal < b.ordinal;
    });
    std::vector<Tensor> gradients(record->output_count());
    for (const Arrived& one : came) {
      Tensor& sum = gradients[one.output];
      sum = sum ? add_gradients(sum, one.gradient) : one.gradient;
    }
    arrived.erase(record);
    if (const Ref<ActorCell>& cell = record->gradients_to()) {
      const Where before = std::exchange(turn.where, Where{});
      for (const auto& [output, hook] : engine.hooks(*cell)) {
        if (!gradients[output]) continue;
        Tensor replacement = (*hook)(gradients[output]);
        if (!replacement) continue;
        check_hook(turn.vjp_of, gradients[output].meta(), replacement);
        gradients[output] = std::move(replacement);
      }
      turn.where = before;
    }
    for (std::size_t t = 0; t < targets.size(); ++t)
      if (targets[t].record() == record) asked[t] = gradients[targets[t].output()];
    if (record->is_leaf()) {
      if (on_leaf && gradients[0]) on_leaf(context, *record, gradients[0]);
      continue;
    }
    const Visit& visit = visits[position];
    const std::size_t edges = visit.follows.size();
    const bool any = std::any_of(
        gradients.begin(), gradients.end(), [](const Tensor& g) { return g.defined(); });
    if (!any || std::find(visit.follows.begin(), visit.follows.end(), true) == visit.follows.end())
      continue;
    std::vector<Tensor> inputs, outputs;
    std::vector<Meta> input_metas, output_metas;
    for (const Edge& edge : record->inputs()) {
      inputs.push_back(Tensor::share(edge.producer, edge.output));
      input_metas.push_back(inputs.back().meta());
    }
    for (std::uint32_t k = 0; k < record->output_count(); ++k) {
      outputs.push_back(Tensor::share(record, k));
      output_metas.push_back(record->output(k));
    }
    const OpInstance& op = *record->op();
    Gradients made = op.info().vjp(
        op.attributes(), Vjp(inputs, input_metas, outputs, output_metas, gradients, visit.needed));
    check_vjp(op.info(), made, input_metas);
    for (std::size_t i = 0; i < edges && i < made.size(); ++i) {
      if (!visit.follows[i] || !made[i]) continue;
      const Edge& edge = record->inputs()[i];
      arrived[edge.producer].push_back({edge.output, edge.ordinal, made[i]});
    }
  }
  return asked;
}

}  // namespace troupe
