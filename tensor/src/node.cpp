#include "small_array.hpp"

#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/launch.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/ops/identity.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/reduce_to.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace troupe {

namespace {

// Marks in the place of a pointer: the outputs are there (subscribers), or unwanted (published).
Subscription* closed() noexcept { return reinterpret_cast<Subscription*>(std::uintptr_t{1}); }
ValueBody* unwanted() noexcept { return reinterpret_cast<ValueBody*>(std::uintptr_t{1}); }

bool is_value(const ValueBody* body) noexcept { return reinterpret_cast<std::uintptr_t>(body) > 1; }

Subscription* make_subscription(System& system) {
  return new (system.allocate(sizeof(Subscription))) Subscription;
}

void free_subscription(System& system, Subscription* subscription) noexcept {
  subscription->~Subscription();
  system.deallocate(subscription, sizeof(Subscription));
}

void deliver(const Subscription& to, Value value) {
  if (to.pass == 0)
    Address<Input>(to.to).send(Input{to.slot, std::move(value)});
  else
    Address<Gradient>(to.to).send(Gradient{to.pass, to.slot, to.ordinal, std::move(value)});
}

Value zeros(Device& device, const Meta& meta) {
  const std::vector<std::byte> bytes(meta.bytes());
  return device.upload(meta, bytes);
}

}  // namespace

// --- GradientSum
// ----------------------------------------------------------------------------------

struct GradientSum::Item {
  Item* next;
  std::uint32_t output;
  std::uint32_t ordinal;
  Value value;
};

GradientSum::~GradientSum() {
  while (items_) {
    Item* item = std::exchange(items_, items_->next);
    item->~Item();
    system_->deallocate(item, sizeof(Item));
  }
}

void GradientSum::add(Gradient&& gradient) {
  ++count_;
  if (!gradient.value) return;
  items_ = new (system_->allocate(sizeof(Item)))
      Item{items_, gradient.output, gradient.ordinal, std::move(gradient.value)};
}

Value GradientSum::failure() const noexcept {
  const auto place = [](const Item& item) {
    return std::tuple(item.value->failure_order(), item.output, item.ordinal);
  };
  const Item* first = nullptr;
  for (const Item* item = items_; item; item = item->next)
    if (item->value->error() && (!first || place(*item) < place(*first))) first = item;
  return first ? first->value : nullptr;
}

Tensor GradientSum::take(std::uint32_t output) {
  // One gradient is the rule; several are summed by edge number, not by arrival.
  std::size_t count = 0;
  for (const Item* item = items_; item; item = item->next) count += item->output == output;
  if (count == 0) return {};
  SmallArray<const Item*> chosen(count);
  std::size_t i = 0;
  for (const Item* item = items_; item; item = item->next)
    if (item->output == output) chosen[i++] = item;
  std::sort(chosen.data(), chosen.data() + count, [](const Item* a, const Item* b) {
    return a->ordinal < b->ordinal;
  });
  Tensor sum = Tensor::constant(chosen[0]->value);
  for (i = 1; i < count; ++i) sum = add_gradients(sum, Tensor::constant(chosen[i]->value));
  return sum;
}

namespace {
[[noreturn, gnu::cold, gnu::noinline]] void refuse_gradient(
    const OpInfo& op, std::size_t i, const Meta& input, const Meta& made) {
  throw Error(
      made.shape == input.shape ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
      "its vjp gave input " + std::to_string(i) + ", " + to_string(input) + ", a gradient " +
          to_string(made))
      .op(op.name)
      .hint("a gradient has the dtype and shape of what it is the gradient of");
}
}  // namespace

void check_vjp(const OpInfo& op, Gradients& made, std::span<const Meta> inputs) {
  const std::size_t count = std::min(inputs.size(), made.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (!made[i]) continue;
    const Meta& meta = made[i].meta();
    if (!(meta == inputs[i])) refuse_gradient(op, i, inputs[i], meta);
  }
}

// --- Node
// -----------------------------------------------------------------------------------------

struct Node::Pass {
  Pass(System& system, std::uint64_t id) noexcept : sum(system) { expect.pass = id; }

  Expect expect;
  GradientSum sum;
  Pass* next = nullptr;
  bool announced = false;

  [[nodiscard]] bool complete() const noexcept { return announced && sum.count() == expect.count; }
};

Node::Node(
    OpRef op,
    Device& device,
    std::span<Source> sources,
    std::size_t outputs,
    std::uint64_t random_seed,
    std::uint64_t random_call,
    const Origin& origin)
    : op_(std::move(op)),
      device_(&device),
      file_(origin.where.file),
      line_(origin.where.line),
      step_(static_cast<std::int32_t>(origin.step)),
      source_count_(static_cast<std::uint16_t>(sources.size())),
      outlet_count_(static_cast<std::uint8_t>(outputs)) {
  if (source_count_ > few_sources)
    many_sources() = static_cast<Source*>(system().allocate(sizeof(Source) * source_count_));
  for (std::size_t i = 0; i < source_count_; ++i) {
    const Source& source = *new (this->sources() + i) Source(std::move(sources[i]));
    if (!source.value) ++awaited_;
    if (source.producer) differentiated_ = true;
  }
  if (outlet_count_ > 1)
    extra().outlets = new (system().allocate(sizeof(Outlet) * outlet_count_)) Outlet[outlet_count_];
  if (op_->info().random) {
    extra().random_seed = random_seed;
    extra().random_call = random_call;
  }
}

void Node::set_trap(Turn* turn) {
  Extra& extra = this->extra();
  extra.traps_nan = true;
  if (!turn) return;
  extra.order = turn->order++;
  extra.vjp_of = turn->vjp_of;
}

Node::Extra& Node::extra() {
  if (!has_extra_) {
    auto* made = new (system().allocate(sizeof(Extra))) Extra;
    made->passes = passes_;
    extra_ = made;
    has_extra_ = true;
  }
  return *extra_;
}

Node::~Node() {
  if (!finished() && outlets()[0].kept)  // nobody wanted it any more before it could run
    if (Engine* engine = system().find<Engine>()) engine->add_pending(-pending_bytes());
  drop_published();
  Subscription* subscription = subscribers_.load(std::memory_order_relaxed);
  while (subscription && subscription != closed())
    free_subscription(system(), std::exchange(subscription, subscription->next));
  while (Pass* pass = passes()) {
    passes() = pass->next;
    pass->~Pass();
    system().deallocate(pass, sizeof(Pass));
  }
  Source* const sources = this->sources();
  std::destroy_n(sources, source_count_);
  if (source_count_ > few_sources) system().deallocate(sources, sizeof(Source) * source_count_);
  if (outlet_count_ > 1) {
    std::destroy_n(outlets(), outlet_count_);
    system().deallocate(outlets(), sizeof(Outlet) * outlet_count_);
  }
  if (has_extra_) {
    if (extra_->known_to_engine) Engine::of(system()).forget(cell());
    extra_->~Extra();
    system().deallocate(extra_, sizeof(Extra));
  }
}

Node* Node::in(const Ref<ActorCell>& cell) noexcept { return ActorAccess::body_if<Node>(*cell); }

Value Node::published(std::size_t output) const noexcept {
  ValueBody* body = outlets()[output].published.load(std::memory_order_acquire);
  return is_value(body) ? Value::share(body) : nullptr;
}

bool Node::finished() const noexcept {
  return subscribers_.load(std::memory_order_acquire) == closed();
}

bool Node::subscribe(Subscription* subscription) noexcept {
  Subscription* first = subscribers_.load(std::memory_order_acquire);
  do {
    if (first == closed()) return false;
    subscription->next = first;
  } while (!subscribers_.compare_exchange_weak(
      first, subscription, std::memory_order_release, std::memory_order_acquire));
  return true;
}

void Node::drop_published() noexcept {
  for (std::size_t k = 0; k < outlet_count_; ++k) {
    ValueBody* body = outlets()[k].published.exchange(unwanted(), std::memory_order_acq_rel);
    if (is_value(body)) body->release();
  }
}

void Node::await(const Record& record) {
  for (std::size_t k = 0; k < outlet_count_; ++k)
    outlets()[k].kept = ValueBody::meta_only(record.shared_meta(k));
  Engine::of(system()).add_pending(pending_bytes());
}

void Node::await(const Ticket& ticket, std::span<Value> outputs) {
  for (std::size_t k = 0; k < outlet_count_; ++k) outlets()[k].kept = std::move(outputs[k]);
  Engine::of(system()).add_pending(pending_bytes());
  ticket->notify(Address<Completed>(Ref<ActorCell>::share(&cell())), 0);
}

std::int64_t Node::pending_bytes() const noexcept {
  std::int64_t bytes = 0;
  for (std::size_t k = 0; k < outlet_count_; ++k)
    bytes += static_cast<std::int64_t>(outlets()[k].kept->meta().bytes());
  return bytes;
}

void Node::start_finished(std::span<Value> outputs) {
  for (std::size_t k = 0; k < outlet_count_; ++k) outlets()[k].kept = std::move(outputs[k]);
  finish();
}

void Node::on(Input&& input) {
  if (!input.value) {
    const Meta meta = outlets()[0].kept->meta();
    try {
      input.value = zeros(*device_, meta);
    } catch (...) {  // out of memory: the slot is filled all the same, or nobody would be answered
      input.value = failure_of_current_exception("output", {&meta, 1}, 0);
    }
  }
  sources()[input.slot].value = std::move(input.value);
  if (--awaited_ == 0) launch();
}

void Node::launch() {
  const std::int64_t pending = pending_bytes();
  // What nobody will ask for again is handed over: an op may take its memory for an output.
  const bool hands_over = !differentiated_ && !(has_extra_ && extra_->traps_nan);
  SmallArray<Value> inputs(source_count_);
  SmallArray<Value> outputs(outlet_count_);
  const auto fail = [&](const Value& failure) {
    for (std::size_t k = 0; k < outlet_count_; ++k) outlets()[k].kept = failure;
    Engine::of(system()).add_pending(-pending);
    finish();
  };
  Value failure;
  for (std::size_t i = 0; i < source_count_; ++i) {
    Value& value = sources()[i].value;
    if (value->error() && (!failure || value->failure_order() < failure->failure_order()))
      failure = value;
    inputs[i] = hands_over ? std::move(value) : value;
  }
  if (failure) return fail(failure);
  SmallArray<Meta> several(outlet_count_ > 1 ? outlet_count_ : 0);
  for (std::size_t k = 0; k < several.span().size(); ++k) several[k] = outlets()[k].kept->meta();
  Ticket ticket;
  try {
    ticket = launch_op(
        *device_,
        *op_,
        inputs.span(),
        outlet_count_ > 1 ? std::span<const Meta>(several.span())
                          : std::span(&outlets()[0].kept->meta(), 1),
        has_extra_ ? extra_->random_seed : 0,
        has_extra_ ? extra_->random_call : 0,
        {file_, line_},
        outputs.span());
  } catch (...) {
    SmallArray<Meta> shapes(source_count_);
    for (std::size_t i = 0; i < source_count_; ++i) shapes[i] = inputs[i]->meta();
    return fail(failure_of_current_exception("inputs", shapes.span(), 0));
  }
  for (std::size_t k = 0; k < outlet_count_; ++k) outlets()[k].kept = std::move(outputs[k]);
  if (ticket) {
    ticket->notify(Address<Completed>(Ref<ActorCell>::share(&cell())), 0);
  } else {
    Engine::of(system()).add_pending(-pending);
    finish();
  }
}

void Node::on(Completed&& completed) {
  Engine::of(system()).add_pending(-pending_bytes());
  if (completed.failed) {
    Error error = completed.reason
                      ? *completed.reason
                      : Error(
                            ErrorCode::device_lost,
                            "a device stopped working while the elements were on their way")
                            .hint(
                                "go on from the last checkpoint, on this device once it is back or "
                                "on another");
    const Value failure = ValueBody::failed(
        system(), std::move(error.op(op_->info().name).at(file_, line_).step(step_)));
    for (std::size_t k = 0; k < outlet_count_; ++k) outlets()[k].kept = failure;
  }
  finish();
}

void Node::trap_nan() {
  const auto holds_nan = [](const Value& value) {
    return value && !value->error() && value->buffer() && has_nan(value);
  };
  for (std::size_t k = 0; k < outlet_count_; ++k) {
    if (!holds_nan(outlets()[k].kept)) continue;
    std::size_t giver = 0;
    while (giver < source_count_ && !holds_nan(sources()[giver].value)) ++giver;
    const Error error = giver < source_count_
                            ? nan_came_in(
                                  op_->info().name,
                                  giver,
                                  to_string(sources()[giver].value->meta()) + " from outside",
                                  extra_->vjp_of)
                            : nan_made(op_->info().name, outlets()[k].kept->meta(), extra_->vjp_of);
    const Value failure =
        ValueBody::failed(system(), Error(error).at(file_, line_).step(step_), extra_->order);
    for (std::size_t j = 0; j < outlet_count_; ++j) outlets()[j].kept = failure;
    return;
  }
}

void Node::finish() {
  const OpInfo& info = op_->info();
  if (has_extra_ && extra_->traps_nan) trap_nan();
  for (std::size_t k = 0; k < outlet_count_; ++k) {
    Outlet& outlet = outlets()[k];
    ValueBody* nothing = nullptr;
    outlet.kept->add_ref();
    if (!outlet.published.compare_exchange_strong(
            nothing, outlet.kept.get(), std::memory_order_acq_rel))
      outlet.kept->release();
  }
  Subscription* newest = subscribers_.exchange(closed(), std::memory_order_acq_rel);
  Subscription* oldest = nullptr;
  while (newest) {  // turned around: served in the order of subscribing
    Subscription* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest) {
    deliver(*oldest, outlets()[oldest->output].kept);
    free_subscription(system(), std::exchange(oldest, oldest->next));
  }
  // What the vjp will not read need not be held; of what it asks shape or dtype, those stay.
  for (std::size_t i = 0; i < source_count_; ++i) {
    Source& source = sources()[i];
    if (!differentiated_) {
      source.value.reset();
    } else if (i < 32 && !(info.saves_inputs >> i & 1) && source.value) {
      source.value = outlet_count_ == 1 && !outlets()[0].kept->error() &&
                             source.value->meta() == outlets()[0].kept->meta()
                         ? nullptr
                         : ValueBody::meta_only(source.value->shared_meta());
    }
  }
  for (std::size_t k = 0; k < outlet_count_; ++k) {
    Value& kept = outlets()[k].kept;
    if (!differentiated_)
      kept.reset();
    else if (!(info.saves_outputs >> k & 1) && !kept->error())
      kept = outlet_count_ == 1 ? nullptr : ValueBody::meta_only(kept->shared_meta());
  }
  if (passes()) run_complete_passes();
}

// --- backward
// -------------------------------------------------------------------------------------

Node::Pass& Node::pass(std::uint64_t id) {
  for (Pass* pass = passes(); pass; pass = pass->next)
    if (pass->expect.pass == id) return *pass;
  Pass* made = new (system().allocate(sizeof(Pass))) Pass(system(), id);
  made->next = passes();
  passes() = made;
  return *made;
}

void Node::on(Expect&& expect) {
  Pass& pass = this->pass(expect.pass);
  pass.expect = std::move(expect);
  pass.announced = true;
  run_complete_passes();
}

void Node::on(Gradient&& gradient) {
  Pass& pass = this->pass(gradient.pass);
  pass.sum.add(std::move(gradient));
  run_complete_passes();
}

void Node::run_complete_passes() {
  // A pass may be begun, and its gradients be here, before the node has had its inputs.
  if (!finished()) return;
  for (Pass* pass = passes(); pass;) {
    Pass* const next = pass->next;
    if (pass->complete()) run_vjp(*pass);
    pass = next;
  }
}

void Node::on(AddHook&& hook) {
  extra().known_to_engine = true;
  if (hook.hook) extra().hooks.emplace_back(hook.output, std::move(hook.hook));
}

void Node::run_vjp(Pass& pass) {
  const Expect& expect = pass.expect;
  Turn turn{
      {file_, line_},
      step_,
      failure_order(expect.pass, expect.position),
      op_->info().name,
      has_extra_ && extra_->traps_nan};
  const ActorScope scope(*device_, turn);
  Value failure = pass.sum.failure();
  for (std::size_t k = 0; k < outlet_count_ && !failure; ++k)
    if (const Value& kept = outlets()[k].kept; kept && kept->error()) failure = kept;
  SmallArray<Tensor> gradients(outlet_count_);
  Gradients made(source_count_);
  if (!failure) {
    try {
      made = vjp(pass, gradients.span(), turn);
    } catch (...) {
      SmallArray<Meta> shapes(outlet_count_);
      for (std::size_t k = 0; k < outlet_count_; ++k)
        if (gradients[k]) shapes[k] = gradients[k].meta();
      failure = failure_of_current_exception("gradients", shapes.span(), turn.order);
    }
  }
  for (const Expect::Delivery& wish : expect.deliver()) {
    const Tensor& asked = gradients[wish.output];
    if (!failure && asked) {
      if (wish.retained)
        subscribe_gradient(asked, wish.to, expect.pass, 0, 0);
      else
        subscribe_input(asked, wish.to, 0);
    } else if (wish.retained) {
      Address<Gradient>(wish.to).send(Gradient{expect.pass, 0, 0, failure});
    } else {
      Address<Input>(wish.to).send(Input{0, failure});
    }
  }
  for (std::size_t i = 0; i < source_count_; ++i) {
    const Source& source = sources()[i];
    if (!source.producer || !expect.needs(i)) continue;
    const Address<Gradient> producer(source.producer);
    if (failure)
      producer.send(Gradient{expect.pass, source.output, source.ordinal, failure});
    else if (i >= made.size() || !made[i])
      producer.send(Gradient{expect.pass, source.output, source.ordinal, nullptr});
    else
      subscribe_gradient(made[i], source.producer, expect.pass, source.output, source.ordinal);
  }
  if (!expect.retain) free_wanted_ = true;
  Pass** link = &passes();
  while (*link != &pass) link = &(*link)->next;
  *link = pass.next;
  pass.~Pass();
  system().deallocate(&pass, sizeof(Pass));
  if (free_wanted_ && !passes()) forget_saved();
}

void Node::call_hooks(std::span<Tensor> gradients, Turn& turn) {
  const Where where = std::exchange(turn.where, Where{});
  for (const auto& [output, hook] : extra_->hooks) {
    if (!gradients[output]) continue;
    Tensor replacement = (*hook)(gradients[output]);
    if (!replacement) continue;
    check_hook(op_->info().name, gradients[output].meta(), replacement);
    gradients[output] = std::move(replacement);
  }
  turn.where = where;
}

Gradients Node::vjp(Pass& pass, std::span<Tensor> gradients, Turn& turn) {
  for (std::size_t k = 0; k < outlet_count_; ++k)
    gradients[k] = pass.sum.take(static_cast<std::uint32_t>(k));
  if (has_extra_ && !extra_->hooks.empty()) call_hooks(gradients, turn);
  std::uint32_t needed = 0;
  bool wanted = false;
  for (std::size_t i = 0; i < source_count_; ++i) {
    if (!sources()[i].producer || !pass.expect.needs(i)) continue;
    wanted = true;
    if (i < 32) needed |= 1u << i;
  }
  bool any = false;
  for (const Tensor& gradient : gradients) any |= gradient.defined();
  if (!wanted || !any) return Gradients(source_count_);
  if (saved_dropped_)
    throw Error(ErrorCode::graph_freed, "a second backward pass through a graph that is gone")
        .hint("pass retain_graph = true to the first one");

  const OpInfo& info = op_->info();
  SmallArray<Tensor> inputs(source_count_);
  SmallArray<Meta> input_metas(source_count_);
  SmallArray<Tensor> outputs(outlet_count_);
  SmallArray<Meta> output_metas(outlet_count_);
  for (std::size_t k = 0; k < outlet_count_; ++k) {
    const Value& kept = outlets()[k].kept;
    if (kept && (info.saves_outputs >> k & 1)) outputs[k] = Tensor::constant(kept);
    output_metas[k] = kept ? kept->meta() : gradients[k].meta();
  }
  for (std::size_t i = 0; i < source_count_; ++i) {
    const Value& value = sources()[i].value;
    if (value && value->buffer() && (i >= 32 || (info.saves_inputs >> i & 1)))
      inputs[i] = Tensor::constant(value);
    input_metas[i] = value ? value->meta() : output_metas[0];
  }
  Gradients made = info.vjp(
      op_->attributes(),
      Vjp(inputs.span(),
          input_metas.span(),
          outputs.span(),
          output_metas.span(),
          gradients,
          needed));
  check_vjp(info, made, input_metas.span());
  return made;
}

Value Node::failure_of_current_exception(
    std::string_view what, std::span<const Meta> shapes, std::uint64_t order) {
  const Error thrown = current_error();
  Error error = thrown;
  if (thrown.op().empty()) {  // nobody has said yet which call it was
    std::string text;
    for (const Meta& meta : shapes) text += (text.empty() ? "" : ", ") + to_string(meta);
    error = Error(thrown.code(), thrown.message() + " (" + std::string(what) + ": " + text + ")")
                .op(op_->info().name)
                .hint(thrown.hint())
                .at(thrown.file(), thrown.line());
  }
  if (error.file().empty()) error.at(file_, line_);
  if (error.step() < 0) error.step(step_);
  return ValueBody::failed(system(), std::move(error), order);
}

void Node::forget_saved() noexcept {
  saved_dropped_ = true;
  for (std::size_t i = 0; i < source_count_; ++i) {
    sources()[i].value.reset();
    sources()[i].producer.reset();
  }
  for (std::size_t k = 0; k < outlet_count_; ++k) outlets()[k].kept.reset();
}

void check_hook(std::string_view op, const Meta& gradient, const Tensor& replacement) {
  if (replacement.meta() == gradient) return;
  throw Error(
      replacement.shape() == gradient.shape ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
      "a hook gave " + to_string(replacement.meta()) + " in the place of the gradient " +
          to_string(gradient))
      .op(op)
      .hint("a gradient has the dtype and shape of what it is the gradient of");
}

// --- subscribing
// ----------------------------------------------------------------------------------

namespace {

void subscribe(const Tensor& tensor, Subscription&& wish) {
  Record& record = *tensor.record();
  Value ready = record.ready_value(tensor.output());
  if (!ready) {
    System& system = record.device().system();
    Subscription* entered = make_subscription(system);
    *entered = std::move(wish);
    entered->output = tensor.output();
    if (Node::in(record.cell())->subscribe(entered)) return;
    wish = std::move(*entered);
    free_subscription(system, entered);
    ready = record.ready_value(tensor.output());
  }
  deliver(wish, std::move(ready));
}

}  // namespace

void subscribe_input(const Tensor& tensor, const Ref<ActorCell>& to, std::uint32_t slot) {
  Subscription wish;
  wish.to = to;
  wish.slot = slot;
  subscribe(tensor, std::move(wish));
}

void subscribe_gradient(
    const Tensor& tensor,
    const Ref<ActorCell>& to,
    std::uint64_t pass,
    std::uint32_t output,
    std::uint32_t ordinal) {
  Subscription wish;
  wish.to = to;
  wish.pass = pass;
  wish.slot = output;
  wish.ordinal = ordinal;
  subscribe(tensor, std::move(wish));
}

Awaiting make_awaiting(
    Device& device,
    const Meta& meta,
    Ref<ActorCell> sink,
    std::uint32_t first_ordinal,
    Where where) {
  Node::Source empty;
  const OpRef identity = make_op(Identity{});
  Ref<ActorCell> cell = device.system()
                            .spawn<Node>(
                                identity,
                                device,
                                std::span(&empty, 1),
                                std::size_t{1},
                                std::uint64_t{0},
                                std::uint64_t{0})
                            .cell();
  Record* record =
      Record::make_leaf(device, identity, meta, cell, std::move(sink), first_ordinal, where);
  Node::in(cell)->await(*record);
  return {Tensor::adopt(record, 0), std::move(cell)};
}

}  // namespace troupe
