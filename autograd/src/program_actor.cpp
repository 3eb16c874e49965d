#include "program_actor.hpp"

#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace troupe {

RequestPool::RequestPool(const Graph& graph, std::size_t cells) : cells_(cells) {
  constexpr std::size_t made_at_once = 8;
  all_.reserve(made_at_once);
  for (std::size_t i = 0; i < made_at_once; ++i) {
    StepRequest& request = add();
    request.inputs.reserve(graph.inputs.size());
    request.outputs.reserve(graph.outputs.size());
    request.early.reserve(graph.held.size());
    request.scalars.resize(graph.scalars.size());
    for (std::size_t k = 0; k < graph.scalars.size(); ++k)
      request.scalars[k].resize(
          static_cast<std::size_t>(graph.metas[graph.scalars[k].first].elements()));
    give_back(&request);
  }
}

StepRequest& RequestPool::add() {
  const std::size_t index = all_.size();
  if ((index + 1) * cells_ > std::numeric_limits<std::uint32_t>::max())
    throw Error(
        ErrorCode::out_of_memory,
        std::to_string(index) + " steps of a program were asked for before the first had ended")
        .hint("read an output now and then");
  StepRequest& request = *all_.emplace_back(std::make_unique<StepRequest>());
  request.index = static_cast<std::uint32_t>(index);
  request.first_slot = static_cast<std::uint32_t>(index * cells_);
  return request;
}

StepRequest* RequestPool::take() {
  const std::lock_guard lock(mutex_);
  return free_ ? std::exchange(free_, free_->next) : &add();
}

void RequestPool::give_back(StepRequest* request) noexcept {
  const std::lock_guard lock(mutex_);
  request->next = free_;
  free_ = request;
}

StepRequest& RequestPool::at(std::uint32_t index) noexcept {
  const std::lock_guard lock(mutex_);
  return *all_[index];
}

ProgramActor::ProgramActor(ProgramState state, std::uint32_t steps_in_flight)
    : state_(std::move(state)), contexts_max_(steps_in_flight) {
  contexts_.reserve(steps_in_flight);
}

ProgramActor::~ProgramActor() = default;

void ProgramActor::on(RunStep&& run) {
  StepRequest* request = &state_.pool->at(run.request);
  request->next = nullptr;
  (state_.waiting_last ? state_.waiting_last->next : state_.waiting_first) = request;
  state_.waiting_last = request;
  begin_steps();
}

void ProgramActor::begin_steps() {
  while (state_.waiting_first) {
    std::size_t busy = 0;
    StepContext* free = nullptr;
    // Which op is the first to make a NaN, and how long each takes, can be told of one step at a
    // time.
    bool alone = traps_nan(system()) || state_.waiting_first->measured;
    for (const auto& context : contexts_) {
      busy += context->busy() ? 1 : 0;
      alone = alone || (context->busy() && context->alone());
      if (!context->busy()) free = context.get();
    }
    if (busy == contexts_max_ || (busy > 0 && alone)) return;
    if (!free) free = contexts_.emplace_back(std::make_unique<StepContext>(state_)).get();
    StepRequest* const next = std::exchange(state_.waiting_first, state_.waiting_first->next);
    if (!state_.waiting_first) state_.waiting_last = nullptr;
    // Held while steps run: what they wait for comes here.
    if (!state_.actor) state_.actor = Ref<ActorCell>::share(&cell());
    next->context = free;
    free->begin(*next);
  }
  const bool idle = std::none_of(
      contexts_.begin(), contexts_.end(), [](const auto& context) { return context->busy(); });
  if (idle) state_.actor.reset();
}

void ProgramActor::on(Input&& input) { take_in(input.slot, std::move(input.value), 0); }

void ProgramActor::on(Lent&& lent) { take_in(lent.slot, std::move(lent.value), lent.version); }

void ProgramActor::take_in(std::uint32_t slot, Value value, std::uint64_t version) {
  const std::size_t cells = state_.pool->cells();
  StepRequest& request = state_.pool->at(static_cast<std::uint32_t>(slot / cells));
  const auto cell = static_cast<Tables::Cell>(slot % cells);
  if (!request.context) {
    request.early.push_back({cell, std::move(value), version});
    return;
  }
  request.context->receive(cell, std::move(value), version);
  begin_steps();
}

void ProgramActor::on(Completed&& completed) {
  const auto index = static_cast<std::uint32_t>(completed.token >> 32);
  state_.pool->at(index).context->complete(
      static_cast<std::uint32_t>(completed.token), completed.reason.get());
  begin_steps();
}

}  // namespace troupe
