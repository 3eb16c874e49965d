#include "walk.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/capture.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <utility>
#include <vector>

namespace troupe {

namespace {

/// Edge numbers begin at 0; the gradient that a pass starts from comes after all of them.
constexpr std::uint32_t root_ordinal = ~0u;

void check_outside(Scope& scope, Where where) {
  if (scope.system().inside_actor())
    throw Error(ErrorCode::inside_actor, "a backward pass was started inside an actor's turn")
        .at(where.file, where.line)
        .hint("start it from outside, or send a message to whoever may");
}

/// Room for what a pass over a usual network lists, so that a steady step allocates nothing.
struct Room {
  alignas(std::max_align_t) std::byte bytes[8192];
  std::pmr::monotonic_buffer_resource memory{bytes, sizeof bytes};
};

void free_graph(const Walk& walk) {
  // Roots first: each lets go of its inputs' records, which are still held by the walk's order only
  // as long as someone else holds them, so references are taken first.
  Room room;
  std::pmr::vector<Ref<Record>> held(&room.memory);
  held.reserve(walk.order().size());
  for (Record* record : walk.order()) held.push_back(Ref<Record>::share(record));
  for (const Ref<Record>& record : held)
    if (!record->is_leaf()) record->free_graph();
}

/// Announces the pass to every actor on the way. A parameter that was read more than once, at
/// several versions, has several leaves but is told once, or it might think itself done too early.
template <class Fill>
void announce(const Walk& walk, Engine& engine, std::uint64_t pass, bool retain, Fill&& fill) {
  Room room;
  std::pmr::vector<std::pair<Ref<ActorCell>, Expect>> leaves(&room.memory);
  const auto step = static_cast<std::int32_t>(engine.step.load(std::memory_order_relaxed));
  std::uint32_t position = 0;
  for (Record* record : walk.order()) {
    Expect expect;
    expect.pass = pass;
    expect.position = position++;
    expect.step = step;
    expect.count = record->walk_count;
    expect.retain = retain;
    fill(*record, expect);
    if (record->is_leaf())
      leaves.emplace_back(record->gradients_to(), std::move(expect));
    else
      Address<Expect>(record->gradients_to()).send(std::move(expect));
  }
  std::sort(leaves.begin(), leaves.end(), [](const auto& a, const auto& b) {
    if (a.first != b.first) return std::less<>{}(a.first.get(), b.first.get());
    return a.second.position < b.second.position;
  });
  for (std::size_t i = 0; i < leaves.size();) {
    Expect expect = std::move(leaves[i].second);
    const Ref<ActorCell>& cell = leaves[i].first;
    for (++i; i < leaves.size() && leaves[i].first == cell; ++i) {
      expect.count += leaves[i].second.count;
      for (const Expect::Delivery& wish : leaves[i].second.deliver())
        expect.wish().deliver.push_back(wish);
    }
    Address<Expect>(cell).send(std::move(expect));
  }
}

/// The gradients that `retain_grad` keeps: each goes to its keeper too, which is told to wait for
/// it.
void announce_to_keepers(Engine& engine, const Record& record, Expect& expect) {
  for (std::uint32_t k = 0; k < record.output_count(); ++k) {
    Ref<ActorCell> keeper = engine.gradient_keeper(*record.gradients_to(), k);
    if (!keeper) continue;
    Expect one;
    one.pass = expect.pass;
    one.count = 1;
    one.position = expect.position;
    one.step = expect.step;
    Address<Expect>(keeper).send(std::move(one));
    expect.wish().deliver.push_back({k, true, std::move(keeper)});
  }
}

}  // namespace

void backward(const Tensor& root, const Tensor& gradient, BackwardOptions options, Where where) {
  Scope& scope = Scope::current();
  if (Capture* capture = Capture::current()) {
    capture->backward(root, gradient, where);
    return;
  }
  // Also inside an actor's turn: nothing here waits, and what it sends runs after the turn.
  const Tensor start = root_gradient(root, gradient, where);
  Engine& engine = Engine::of(scope.system());
  const std::uint64_t pass = engine.next_pass();
  {
    const Walk walk(engine, pass, std::span(&root, 1), {}, where);
    const bool any_kept = engine.watches_gradients();
    announce(walk, engine, pass, options.retain_graph, [&](Record& record, Expect& expect) {
      if (any_kept && !record.is_leaf()) announce_to_keepers(engine, record, expect);
    });
    subscribe_gradient(start, root.record()->gradients_to(), pass, root.output(), root_ordinal);
    if (!options.retain_graph) free_graph(walk);
  }
  scope.system().run_ready();
}

namespace {

/// A backward pass by messages whose gradients for `inputs` come in `gradients`.
template <class CheckUsed>
void send_backward(
    std::span<const Tensor> outputs,
    std::span<const Tensor> inputs,
    std::span<const Tensor> starts,
    const GradOptions& options,
    std::span<Tensor> gradients,
    CheckUsed&& check_used,
    Where where) {
  Engine& engine = Engine::of(Scope::current().system());
  const std::uint64_t pass = engine.next_pass();
  const Walk walk(engine, pass, outputs, inputs, where);
  std::vector<Ref<ActorCell>> deliver_to(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Record& record = *inputs[i].record();
    const bool used = walk.visited(record) && record.walk_index == 1;
    check_used(inputs[i], used);
    if (!used) continue;
    for (std::size_t j = 0; j < i; ++j)
      if (deliver_to[j] && inputs[j].record() == inputs[i].record() &&
          inputs[j].output() == inputs[i].output())
        gradients[i] = gradients[j];
    if (gradients[i]) continue;
    Awaiting awaiting = make_awaiting(record.device(), inputs[i].meta(), nullptr, 0, where);
    gradients[i] = std::move(awaiting.tensor);
    deliver_to[i] = std::move(awaiting.cell);
  }
  announce(walk, engine, pass, options.retain_graph, [&](Record& record, Expect& expect) {
    expect.needed = walk.needed(record);
    const std::size_t edges = record.inputs().size();
    if (edges > 32)
      for (std::size_t i = 32; i < edges; ++i)
        expect.wish().needed_beyond.push_back(walk.follows(record, i));
    expect.accumulate = false;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (deliver_to[i] && inputs[i].record() == &record)
        expect.wish().deliver.push_back({inputs[i].output(), false, deliver_to[i]});
  });
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (walk.visited(*outputs[i].record()) && outputs[i].record()->walk_index == 1)
      subscribe_gradient(
          starts[i],
          outputs[i].record()->gradients_to(),
          pass,
          outputs[i].output(),
          root_ordinal - static_cast<std::uint32_t>(outputs.size() - 1 - i));
  if (!options.retain_graph) free_graph(walk);
}

}  // namespace

std::vector<Tensor> grad(
    std::span<const Tensor> outputs,
    std::span<const Tensor> inputs,
    std::span<const Tensor> output_gradients,
    GradOptions options,
    Where where) {
  Scope& scope = Scope::current();
  if (!output_gradients.empty() && output_gradients.size() != outputs.size())
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(output_gradients.size()) + " gradients for " +
            std::to_string(outputs.size()) + " outputs")
        .at(where.file, where.line);
  std::vector<Tensor> starts;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    starts.push_back(root_gradient(
        outputs[i], output_gradients.empty() ? Tensor() : output_gradients[i], where));
  const auto check_used = [&](const Tensor& input, bool used) {
    if (!used && !options.allow_unused)
      throw Error(
          ErrorCode::not_differentiable,
          "the outputs do not depend on the input " + to_string(input.meta()) +
              (input.requires_grad() ? "" : ", which does not require a gradient"))
          .at(where.file, where.line)
          .hint("allow_unused = true gives an undefined tensor for it");
  };
  std::vector<Tensor> gradients;
  if (options.create_graph || scope.builder()) {
    std::optional<NoGrad> no_grad;
    if (!options.create_graph) no_grad.emplace();
    gradients = symbolic_backward(outputs, starts, inputs, nullptr, nullptr, where);
    for (std::size_t i = 0; i < inputs.size(); ++i) check_used(inputs[i], gradients[i].defined());
    return gradients;
  }
  check_outside(scope, where);
  for (const Tensor& input : inputs)
    if (!input || input.record()->captured())
      throw Error(
          input ? ErrorCode::in_capture : ErrorCode::invalid_argument,
          input ? "an input was recorded by a capture that has ended"
                : "an input is an undefined tensor")
          .op("grad")
          .at(where.file, where.line);
  gradients.resize(inputs.size());
  send_backward(outputs, inputs, starts, options, gradients, check_used, where);
  scope.system().run_ready();
  return gradients;
}

}  // namespace troupe
