#include "small_array.hpp"

#include <troupe/core/system.hpp>
#include <troupe/tensor/builder.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/launch.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/to_device.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstring>
#include <utility>

namespace troupe {

const void* OpInstance::attributes() const noexcept {
  // OpInstanceOf<Op> is this base, then the attributes at the next place their alignment allows; no
  // op's attributes are aligned more strictly than a pointer, which OpInfoOf asserts.
  return this + 1;
}

void* allocate_op(std::size_t bytes, System*& system) {
  system = &Scope::current().system();
  return system->allocate(bytes);
}

namespace {

int category(DType dtype) noexcept {
  if (dtype == DType::boolean) return 0;
  return is_integer(dtype) ? 1 : 2;
}

DType dtype_of_number(Number number) noexcept {
  switch (number.kind()) {
    case Number::Kind::boolean:
      return DType::boolean;
    case Number::Kind::whole:
      return DType::int64;
    default:
      return DType::float32;
  }
}

Tensor make_number(Device& device, Number number, DType dtype, Where where) {
  std::byte bytes[8];
  const auto put = [&]<class T>(T value) { std::memcpy(bytes, &value, sizeof value); };
  switch (dtype) {
    case DType::float32:
      put(number.to<float>());
      break;
    case DType::float64:
      put(number.to<double>());
      break;
    case DType::int32:
      put(number.to<std::int32_t>());
      break;
    case DType::int64:
      put(number.to<std::int64_t>());
      break;
    case DType::uint8:
      put(number.to<std::uint8_t>());
      break;
    case DType::boolean:
      put(number.to<bool>());
      break;
    case DType::bfloat16:
    case DType::float16:
      break;  // refused before
  }
  return Tensor::constant(
      device.upload(Meta{dtype, {}}, std::span<const std::byte>(bytes, size_of(dtype))), where);
}

std::string shapes_of(std::span<const Tensor* const> inputs) {
  std::string text;
  for (const Tensor* input : inputs) text += (text.empty() ? "" : ", ") + to_string(input->meta());
  return text;
}
std::string shapes_of(std::span<const Operand> operands) {
  std::string text;
  for (const Operand& operand : operands)
    text += (text.empty() ? "" : ", ") +
            (operand.is_number() ? std::string("a number") : to_string(operand.tensor().meta()));
  return text;
}

/// Where and in which step the ops called in this scope belong.
Origin origin_of(const Scope& scope, const Engine* engine, Where where) {
  if (const Turn* turn = scope.turn()) return {where, turn->step};
  return {where, engine ? engine->step.load(std::memory_order_relaxed) : -1};
}

/// Whether the ops called in this scope are to fail when they make a NaN.
bool traps_nan_in(const Scope& scope) {
  const Turn* turn = scope.turn();
  return turn ? turn->traps_nan : traps_nan(scope.system());
}

/// The line that an error names: in a vjp that of the op whose gradient it is, which people wrote.
Where line_of(const Scope& scope, Where own) {
  const Turn* turn = scope.turn();
  return turn && *turn->where.file ? turn->where : own;
}

/// Adds to an error what the call knows and it does not say yet.
Error in_context(Error error, const OpInfo& info, Where where) {
  if (error.op().empty()) error.op(info.name);
  if (error.file().empty()) error.at(where.file, where.line);
  return error;
}

class Call {
 public:
  /// @param target  the device that runs it, whatever the scope's is; of a transfer the one that
  ///                receives, whichever sends
  Call(OpRef op, std::span<const Operand> operands, Where where = {}, Device* target = nullptr)
      : scope_(Scope::current()),
        op_(std::move(op)),
        info_(op_->info()),
        made_(operands.size()),
        inputs_(operands.size()),
        where_(operands.empty() ? where : operands[0].where()) {
    bool any_tensor = false;
    for (const Operand& operand : operands) {
      if (operand.is_number()) continue;
      check_defined(operand, info_.name);
      if (any_tensor) continue;
      any_tensor = true;
      where_ = operand.where();
      device_ = &operand.tensor().record()->device();
    }
    if (!any_tensor) device_ = &scope_.device();
    if (target) device_ = target;
    check_system(operands);
    promote(operands);
    check_placement();
    infer();
    requires_grad_ = scope_.grad_enabled() && info_.differentiable && any_floating_output() &&
                     any_differentiable();
  }
  /// A call without inputs.
  Call(OpRef op, Where where) : Call(std::move(op), std::span<const Operand>(), where) {}

  void run(std::span<Tensor> outputs) {
    if (outputs.size() != metas_.size())
      throw in_context(
          Error(ErrorCode::internal, "called for the wrong number of outputs"), info_, where_);
    where_ = line_of(scope_, where_);
    if (info_.random && scope_.turn())
      throw in_context(
          Error(
              ErrorCode::unsupported,
              "random numbers were drawn in a vjp or a hook, which run in no fixed order")
              .hint("draw them in the forward pass, and let the vjp or the hook use the result"),
          info_,
          where_);
    if (Builder* builder = scope_.builder()) {
      builder->add(*device_, op_, inputs_.span(), metas_, requires_grad_, where_, outputs);
      if (info_.random) ++scope_.random().calls;
      return;
    }
    RandomState random;
    if (info_.random) {
      random = scope_.random();
      ++scope_.random().calls;
    }
    const std::size_t count = inputs_.span().size();
    SmallArray<Value> values(count);
    bool ready = true;
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = inputs_[i]->record()->ready_value(inputs_[i]->output());
      if (!values[i]) ready = false;
    }
    if (ready)
      run_now(values.span(), random, outputs);
    else
      run_later(values.span(), random, outputs);
  }

 private:
  void promote(std::span<const Operand> operands) {
    const bool casts = info_.promotion != Promotion::none;
    DType common = DType::float32;
    if (!operands.empty()) common = result_type(operands);
    if (casts && info_.promotion == Promotion::floating && !is_floating(common))
      common = DType::float32;
    if (casts) check_computable(operands, common);
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Operand& operand = operands[i];
      if (operand.is_number()) {
        check_computable(operands, common);
        try {
          made_[i] = make_number(*device_, operand.number(), common, where_);
        } catch (const Error& error) {
          throw in_context(error, info_, where_);
        }
        inputs_[i] = &made_[i];
      } else if (casts && operand.tensor().dtype() != common) {
        made_[i] = cast(Operand(operand.tensor(), where_), common);
        inputs_[i] = &made_[i];
      } else {
        inputs_[i] = &operand.tensor();
      }
    }
  }

  void check_computable(std::span<const Operand> operands, DType dtype) {
    if (is_computable(dtype)) return;
    throw in_context(
        Error(
            ErrorCode::dtype_mismatch,
            std::string(name_of(dtype)) +
                " is for storage, not for computing (inputs: " + shapes_of(operands) + ")")
            .hint("cast(x, DType::float32) first"),
        info_,
        where_);
  }

  /// Two systems share nothing: a node of one that held a value of the other would outlive it.
  void check_system(std::span<const Operand> operands) {
    bool ours = &device_->system() == &scope_.system();
    for (const Operand& operand : operands)
      if (!operand.is_number())
        ours = ours && &operand.tensor().record()->device().system() == &scope_.system();
    if (ours) return;
    throw in_context(
        Error(
            ErrorCode::device_mismatch,
            "an input or the device belongs to another system than the scope (inputs: " +
                shapes_of(operands) + ")")
            .hint("make a Scope of the system that the tensors were made in, or copy them over "
                  "with to_vector() and copy_of()"),
        info_,
        where_);
  }

  void check_placement() {
    for (const Tensor* input : inputs_.span()) {
      const Record& record = *input->record();
      if (&record.device() != device_ && info_.family != OpFamily::transfer)
        throw in_context(
            Error(
                ErrorCode::device_mismatch,
                "inputs are on " + std::string(device_->name()) + " and on " +
                    std::string(record.device().name()) + " (" + shapes_of(inputs_.span()) + ")")
                .hint("to(tensor, device) copies one of them over"),
            info_,
            where_);
      if (record.captured() && !scope_.builder())
        throw in_context(
            Error(ErrorCode::in_capture, "an input was recorded by a capture that has ended")
                .hint("let the captured function return what is needed outside"),
            info_,
            where_);
    }
  }

  void infer() {
    SmallArray<Meta> metas(inputs_.span().size());
    for (std::size_t i = 0; i < inputs_.span().size(); ++i) metas[i] = inputs_[i]->meta();
    try {
      info_.infer(op_->attributes(), metas.span(), metas_);
      for (const Meta& meta : metas_) check_sizes(meta);
    } catch (const Error& error) {
      Error full = error;
      if (inputs_.span().size() > 0 && full.op().empty())
        full = Error(error.code(), error.message() + " (inputs: " + shapes_of(inputs_.span()) + ")")
                   .hint(error.hint());
      throw in_context(std::move(full), info_, where_);
    }
  }

  /// What is not floating does not change with its inputs but in jumps: no gradient by mathematics.
  [[nodiscard]] bool any_floating_output() const {
    for (const Meta& meta : metas_)
      if (is_floating(meta.dtype)) return true;
    return false;
  }
  [[nodiscard]] bool any_differentiable() {
    for (std::size_t i = 0; i < inputs_.span().size(); ++i)
      if (wants_gradient(i)) return true;
    return false;
  }
  [[nodiscard]] bool wants_gradient(std::size_t i) {
    return inputs_[i]->requires_grad() && !(i < 32 && (info_.no_gradient >> i & 1));
  }

  void run_now(std::span<Value> values, const RandomState& random, std::span<Tensor> outputs) {
    for (const Value& value : values)
      if (value->error()) return run_later(values, random, outputs);  // passes the failure on
    SmallArray<Value, outputs_max> results(metas_.size());
    Ticket ticket;
    try {
      ticket = launch_op(
          *device_, *op_, values, metas_, random.seed, random.call(), where_, results.span());
    } catch (...) {
      const Error thrown = current_error();
      throw in_context(
          thrown.op().empty()
              ? Error(
                    thrown.code(),
                    thrown.message() + " (inputs: " + shapes_of(inputs_.span()) + ")")
                    .hint(thrown.hint())
              : thrown,
          info_,
          where_);
    }
    if (!ticket && !requires_grad_ && !traps_nan_in(scope_)) {
      for (std::size_t k = 0; k < outputs.size(); ++k)
        outputs[k] = Tensor::constant(std::move(results[k]), where_);
      return;
    }
    Node& node = spawn(values, random);
    if (ticket)
      node.await(ticket, results.span());
    else
      node.start_finished(results.span());
    make_record(outputs);
    throw_trapped();
  }

  void run_later(std::span<Value> values, const RandomState& random, std::span<Tensor> outputs) {
    SmallArray<bool> missing(values.size());
    bool any_missing = false;
    for (std::size_t i = 0; i < values.size(); ++i) any_missing |= missing[i] = !values[i];
    Node& node = spawn(values, random);
    if (any_missing) {
      node.await(*record_);
    } else {
      for (Value& value : values)
        if (value && value->error()) {
          SmallArray<Value, outputs_max> failures(metas_.size());
          for (Value& failure : failures.span()) failure = value;
          node.start_finished(failures.span());
          break;
        }
    }
    make_record(outputs);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (missing[i]) subscribe_input(*inputs_[i], cell_, static_cast<std::uint32_t>(i));
    bound_pending_work();
    throw_trapped();
  }

  /// While NaNs are trapped, a call that people make waits for its result: so the first to fail is
  /// the first in the order of the calls. In an actor's turn nobody waits, and failures carry their
  /// order instead.
  void throw_trapped() {
    if (!traps_nan_in(scope_) || scope_.system().inside_actor()) return;
    const Node& node = *Node::in(cell_);
    scope_.system().wait_until([&] { return node.finished(); }, "an op whose NaNs are trapped");
    const Value value = record_->ready_value(0);
    if (!value->error()) return;
    const Error error = *value->error();
    for (std::size_t i = 0; error.code() == ErrorCode::nan_found && i < inputs_.span().size();
         ++i) {
      const Value input = inputs_[i]->record()->ready_value(inputs_[i]->output());
      if (!input || input->error() || !has_nan(input)) continue;
      throw nan_came_in(info_.name, i, what_came_in(*inputs_[i]), "")
          .at(error.file(), error.line())
          .step(error.step());
    }
    throw error;
  }
  static std::string what_came_in(const Tensor& input) {
    const Record& record = *input.record();
    const Where where = record.where();
    std::string what = record.is_constant() ? (record.is_leaf() ? "the leaf " : "the tensor ")
                       : record.is_leaf()   ? "the parameter "
                                            : "the value ";
    what += to_string(input.meta());
    if (*where.file)
      what += " made at " + std::string(where.file) + ":" + std::to_string(where.line);
    return what;
  }

  /// The node; `values` stay with the caller.
  Node& spawn(std::span<Value> values, const RandomState& random) {
    SmallArray<Node::Source> sources(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      Node::Source& source = sources[i];
      source.value = values[i];
      if (!requires_grad_ || !wants_gradient(i)) continue;
      source.producer = inputs_[i]->record()->gradients_to();
      source.output = static_cast<std::uint8_t>(inputs_[i]->output());
    }
    if (requires_grad_) {
      // The record numbers the edges; the node must send gradients under the same numbers.
      record_ = Record::make(*device_, op_, inputs_.span(), metas_, nullptr, true, where_);
      const std::span<Edge> edges = record_->inputs();
      for (std::size_t i = 0; i < values.size(); ++i) sources[i].ordinal = edges[i].ordinal;
    }
    cell_ = scope_.system()
                .spawn<Node>(
                    op_,
                    *device_,
                    sources.span(),
                    metas_.size(),
                    random.seed,
                    random.call(),
                    origin_of(scope_, scope_.system().find<Engine>(), where_))
                .cell();
    if (!record_)
      record_ = Record::make(*device_, op_, inputs_.span(), metas_, cell_, false, where_);
    else
      record_->set_cell(cell_);
    Node& node = *Node::in(cell_);
    if (traps_nan_in(scope_)) node.set_trap(scope_.turn());
    return node;
  }

  void make_record(std::span<Tensor> outputs) {
    for (std::size_t k = 1; k < outputs.size(); ++k)
      outputs[k] = Tensor::share(record_, static_cast<std::uint32_t>(k));
    outputs[0] = Tensor::adopt(record_, 0);
  }

  /// A caller far ahead of the workers helps them, so that what is asked for and has not run yet
  /// stays within a bound.
  void bound_pending_work() {
    System& system = scope_.system();
    Engine& engine = Engine::of(system);
    if (engine.pending_bytes() < Engine::pending_bytes_max || system.inside_actor()) return;
    system.wait_until(
        [&] { return engine.pending_bytes() < Engine::pending_bytes_max / 2; },
        "earlier ops to run");
  }

  Scope& scope_;
  OpRef op_;
  const OpInfo& info_;
  Device* device_ = nullptr;
  SmallArray<Tensor> made_;
  SmallArray<const Tensor*> inputs_;
  Where where_;
  Metas metas_;
  bool requires_grad_ = false;
  Ref<ActorCell> cell_;
  Record* record_ = nullptr;
};

/// The common small case, told apart at once: an elementwise op on one or two tensors of one dtype
/// and shape whose data are there. Does what `Call` does, without the copies of shapes that it
/// makes.
/// @returns false if the call is of another kind; then nothing has happened.
bool apply_alike(const OpRef& op, std::span<const Operand> operands, Tensor& output) {
  constexpr std::size_t most = 2;
  constexpr std::int64_t elements_max = 1024;
  const OpInfo& info = op->info();
  if (info.family != OpFamily::elementwise || info.random || operands.size() > most) return false;
  Scope& scope = Scope::current();
  if (scope.builder()) return false;
  const Meta* meta = nullptr;
  const Ref<SharedMeta>* shared = nullptr;
  Device* device = nullptr;
  Value values[most];
  bool requires_grad = false;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (operands[i].is_number() || !operands[i].tensor()) return false;
    const Tensor& tensor = operands[i].tensor();
    Record& record = *tensor.record();
    const Meta& own = record.output(tensor.output());
    if (!meta) {
      if (!is_computable(own.dtype) || own.elements() > elements_max ||
          (info.promotion == Promotion::floating && !is_floating(own.dtype)))
        return false;
      meta = &own;
      shared = &record.shared_meta(tensor.output());
      device = &record.device();
    } else if (&record.device() != device || (&own != meta && !(own == *meta))) {
      return false;
    }
    if (record.captured()) return false;
    values[i] = record.ready_value(tensor.output());
    if (!values[i] || values[i]->error()) return false;
    requires_grad |= record.requires_grad() && !(info.no_gradient >> i & 1);
  }
  requires_grad = requires_grad && scope.grad_enabled() && info.differentiable;
  System& system = device->system();
  if (&system != &scope.system()) return false;
  const Engine* const engine = system.find<Engine>();
  if (engine && engine->trap_nan.load(std::memory_order_relaxed)) return false;

  const Where where = line_of(scope, operands[0].where());
  Metas metas;
  Value result;
  Ticket ticket;
  try {
    // Alike as they are, the shape rule says the same of all as of one.
    info.infer(op->attributes(), {meta, 1}, metas);
    result = ValueBody::make(
        SharedMeta::like(*shared, *device, metas[0]), device->allocate(metas[0].bytes()));
    ticket = device->launch(Launch{op.get(), {values, operands.size()}, {&result, 1}, 0, 0, where});
  } catch (const Error& error) {
    throw in_context(error, info, where);
  }
  if (!ticket && !requires_grad) {
    output = Tensor::constant(std::move(result), where);
    return true;
  }
  const Tensor* inputs[most] = {};
  Node::Source sources[most];
  for (std::size_t i = 0; i < operands.size(); ++i) inputs[i] = &operands[i].tensor();
  Record* record =
      Record::make(*device, op, {inputs, operands.size()}, metas, nullptr, requires_grad, where);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    sources[i].value = std::move(values[i]);
    if (!requires_grad || !inputs[i]->requires_grad() || (info.no_gradient >> i & 1)) continue;
    sources[i].producer = inputs[i]->record()->gradients_to();
    sources[i].output = static_cast<std::uint8_t>(inputs[i]->output());
    sources[i].ordinal = record->inputs()[i].ordinal;
  }
  const Ref<ActorCell> cell = system
                                  .spawn<Node>(
                                      op,
                                      *device,
                                      std::span(sources, operands.size()),
                                      metas.size(),
                                      std::uint64_t{0},
                                      std::uint64_t{0},
                                      origin_of(scope, engine, where))
                                  .cell();
  record->set_cell(cell);
  Node& node = *Node::in(cell);
  if (ticket)
    node.await(ticket, {&result, 1});
  else
    node.start_finished({&result, 1});
  output = Tensor::adopt(record, 0);
  return true;
}

}  // namespace

void apply_donating(OpRef op, std::span<Tensor> inputs, std::span<Tensor> outputs, Where where) {
  Scope& scope = Scope::current();
  const std::size_t count = inputs.size();
  SmallArray<const Tensor*> pointers(count);
  SmallArray<Meta> input_metas(count);
  for (std::size_t i = 0; i < count; ++i) {
    pointers[i] = &inputs[i];
    input_metas[i] = inputs[i].meta();
  }
  Metas metas;
  op->info().infer(op->attributes(), input_metas.span(), metas);
  Device& device = inputs[0].record()->device();
  if (Builder* builder = scope.builder()) {
    builder->add(device, op, pointers.span(), metas, false, where, outputs);
    return;
  }
  const Origin origin = origin_of(scope, scope.system().find<Engine>(), where);
  const bool trapping = traps_nan_in(scope);
  SmallArray<Node::Source> sources(count);
  SmallArray<Tensor> pending(count);
  bool ready = true;
  for (std::size_t i = 0; i < count; ++i) {
    Tensor tensor = std::move(inputs[i]);
    sources[i].value = tensor.record()->ready_value(tensor.output());
    if (!sources[i].value || sources[i].value->error()) ready = false;
    if (!sources[i].value) pending[i] = std::move(tensor);
  }
  if (ready && !trapping) {
    SmallArray<Value> values(count);
    SmallArray<Value, outputs_max> results(metas.size());
    for (std::size_t i = 0; i < count; ++i) values[i] = std::move(sources[i].value);
    Ticket ticket;
    try {
      ticket = launch_op(device, *op, values.span(), metas, 0, 0, where, results.span());
    } catch (...) {  // what was to be written over is the caller's again
      for (std::size_t i = 0; i < count; ++i) inputs[i] = Tensor::constant(std::move(values[i]));
      throw;
    }
    if (!ticket) {
      for (std::size_t k = 0; k < outputs.size(); ++k)
        outputs[k] = Tensor::constant(std::move(results[k]));
      return;
    }
    SmallArray<Node::Source> none(0);
    const Ref<ActorCell> cell =
        scope.system()
            .spawn<Node>(
                op, device, none.span(), metas.size(), std::uint64_t{0}, std::uint64_t{0}, origin)
            .cell();
    Node::in(cell)->await(ticket, results.span());
    Record* record = Record::make(device, op, {}, metas, cell, false, where);
    for (std::size_t k = 1; k < outputs.size(); ++k)
      outputs[k] = Tensor::share(record, static_cast<std::uint32_t>(k));
    outputs[0] = Tensor::adopt(record, 0);
    return;
  }
  const Ref<ActorCell> cell =
      scope.system()
          .spawn<Node>(
              op, device, sources.span(), metas.size(), std::uint64_t{0}, std::uint64_t{0}, origin)
          .cell();
  Node* node = Node::in(cell);
  if (trapping) node->set_trap(scope.turn());
  bool any_pending = false;
  for (std::size_t i = 0; i < count; ++i) any_pending |= pending[i].defined();
  Record* record = Record::make(device, op, {}, metas, cell, false, where);
  node->await(*record);
  for (std::size_t k = 1; k < outputs.size(); ++k)
    outputs[k] = Tensor::share(record, static_cast<std::uint32_t>(k));
  outputs[0] = Tensor::adopt(record, 0);
  for (std::size_t i = 0; i < count; ++i)
    if (pending[i])
      subscribe_input(std::exchange(pending[i], Tensor()), cell, static_cast<std::uint32_t>(i));
  if (!any_pending) node->launch_all_there();
}

DType result_type(std::span<const Operand> operands) {
  bool have[3] = {};  // with dimensions; without; numbers
  DType found[3] = {};
  const auto meet = [&](int place, DType dtype) {
    found[place] = have[place] ? promote(found[place], dtype) : dtype;
    have[place] = true;
  };
  for (const Operand& operand : operands) {
    if (operand.is_number())
      meet(2, dtype_of_number(operand.number()));
    else
      meet(operand.tensor().rank() == 0 ? 1 : 0, operand.tensor().dtype());
  }
  DType result = have[0] ? found[0] : have[1] ? found[1] : found[2];
  for (int place = 1; place < 3; ++place)
    if (have[place] && category(found[place]) > category(result)) result = found[place];
  return result;
}

void check_defined(const Operand& x, std::string_view op) {
  if (x.is_number() || x.tensor()) return;
  throw Error(ErrorCode::invalid_argument, "an input is an undefined tensor")
      .op(op)
      .at(x.where().file, x.where().line)
      .hint("assign it the result of a call first; Tensor() is no tensor yet");
}

const Tensor& checked_tensor(const Operand& x, std::string_view op) {
  if (x.is_number())
    throw Error(ErrorCode::invalid_argument, "a number was given where a tensor is needed")
        .op(op)
        .at(x.where().file, x.where().line)
        .hint("full({}, number, dtype) makes a tensor of it");
  check_defined(x, op);
  return x.tensor();
}

Tensor apply(OpRef op, Where where) {
  Tensor output;
  Call(std::move(op), where).run(std::span<Tensor>(&output, 1));
  return output;
}

Tensor apply(OpRef op, const Tensor& beside, Where where) {
  Tensor output;
  Call(std::move(op), {}, where, &beside.record()->device()).run(std::span<Tensor>(&output, 1));
  return output;
}

Tensor apply(OpRef op, std::span<const Operand> inputs) {
  Tensor output;
  apply(std::move(op), inputs, std::span<Tensor>(&output, 1));
  return output;
}

Tensor to(const Tensor& x, Device& device, Where where) {
  const Operand operand(x, where);
  check_defined(operand, "to");
  const Device& from = x.record()->device();
  if (&from == &device) return x;
  ToDevice op;
  op.from = from.name();
  Tensor moved;
  Call(make_op(op), std::span(&operand, 1), where, &device).run(std::span(&moved, 1));
  return moved;
}

Tensor to(const Tensor& x, std::string_view device, Where where) {
  return to(x, Devices::of(Scope::current().system()).get(device), where);
}

void apply(OpRef op, std::span<const Operand> inputs, std::span<Tensor> outputs) {
  if (outputs.size() == 1 && apply_alike(op, inputs, outputs[0])) return;
  Call(std::move(op), inputs).run(outputs);
}

}  // namespace troupe
