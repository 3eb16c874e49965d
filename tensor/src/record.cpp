#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/node.hpp>
#include <troupe/tensor/record.hpp>

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

namespace troupe {

namespace {

std::size_t record_bytes(std::size_t inputs, std::size_t outputs) {
  return sizeof(Record) + inputs * sizeof(Edge) + outputs * sizeof(Ref<SharedMeta>);
}

/// What an op says of its outputs, shared with those inputs of which the same is said.
class OutputMetas {
 public:
  OutputMetas(
      Device& device, std::span<const Tensor* const> inputs, std::span<const Meta> outputs) {
    for (const Meta& output : outputs) {
      for (const Tensor* input : inputs.first(std::min<std::size_t>(inputs.size(), 2))) {
        const Ref<SharedMeta>& candidate = input->record()->shared_meta(input->output());
        if (!candidate->fits(device, output)) continue;
        metas_[count_] = candidate;
        break;
      }
      if (!metas_[count_]) metas_[count_] = SharedMeta::make(device, output);
      ++count_;
    }
  }
  [[nodiscard]] std::span<Ref<SharedMeta>> span() noexcept { return {metas_, count_}; }

 private:
  Ref<SharedMeta> metas_[outputs_max];
  std::size_t count_ = 0;
};

}  // namespace

Record::Record(
    OpRef op, std::span<Ref<SharedMeta>> outputs, std::size_t inputs, Where where) noexcept
    : op_(std::move(op)),
      cell_(),
      file_(where.file),
      line_(where.line),
      input_capacity_(static_cast<std::uint16_t>(inputs)),
      output_count_(static_cast<std::uint8_t>(outputs.size())) {
  std::uninitialized_move(outputs.begin(), outputs.end(), metas());
}

Record::~Record() {
  for (Edge& edge : inputs()) {
    if (edge.keeps_value)
      edge.producer->release_handle();
    else
      edge.producer->release();
  }
  std::destroy_n(metas(), output_count_);
  if (constant_)
    value_.~Value();
  else
    cell_.~Ref<ActorCell>();
}

Record* Record::allocate(
    OpRef op, std::span<Ref<SharedMeta>> outputs, std::size_t inputs, Where where) {
  void* block = outputs[0]->system().allocate(record_bytes(inputs, outputs.size()));
  return new (block) Record(std::move(op), outputs, inputs, where);
}

std::size_t Record::bytes() const noexcept { return record_bytes(input_capacity_, output_count_); }

Record* Record::make(
    Device& device,
    OpRef op,
    std::span<const Tensor* const> inputs,
    std::span<const Meta> outputs,
    Ref<ActorCell> cell,
    bool requires_grad,
    Where where) {
  // Without a gradient nothing upstream is owned: the node has its inputs itself.
  const std::size_t owned = requires_grad ? inputs.size() : 0;
  const OpInfo& info = op->info();
  Record* record =
      allocate(std::move(op), OutputMetas(device, inputs, outputs).span(), owned, where);
  record->cell_ = std::move(cell);
  record->requires_grad_ = requires_grad;
  record->input_count_ = static_cast<std::uint16_t>(owned);
  for (std::size_t i = 0; i < owned; ++i) {
    Record* producer = inputs[i]->record();
    Edge& edge = *new (record->edges() + i) Edge;
    edge.producer = producer;
    edge.output = inputs[i]->output() & 0xff;
    edge.keeps_value = i >= 32 || (info.saves_inputs >> i & 1);
    if (producer->requires_grad()) edge.ordinal = producer->next_ordinal();
    if (edge.keeps_value)
      producer->add_handle();
    else
      producer->add_ref();
  }
  if (requires_grad && info.saves_outputs != 0) {
    record->holds_itself_ = true;
    record->counts_.fetch_add(one_handle, std::memory_order_relaxed);
  }
  return record;
}

Record* Record::make_leaf(
    Device& device,
    OpRef op,
    const Meta& meta,
    Ref<ActorCell> cell,
    Ref<ActorCell> sink,
    std::uint32_t first_ordinal,
    Where where) {
  Record* record = allocate(std::move(op), OutputMetas(device, {}, {&meta, 1}).span(), 0, where);
  record->cell_ = std::move(cell);
  record->requires_grad_ = static_cast<bool>(sink);
  record->sink_ = std::move(sink);
  record->consumptions_.store(first_ordinal, std::memory_order_relaxed);
  return record;
}

Record* Record::make_captured_leaf(
    Device& device, OpRef op, const Meta& meta, Ref<ActorCell> sink, Where where) {
  Record* record = make_leaf(device, std::move(op), meta, nullptr, std::move(sink), 0, where);
  record->captured_ = true;
  return record;
}

Record* Record::make_captured(
    Device& device,
    OpRef op,
    std::span<const Tensor* const> inputs,
    std::span<const Meta> outputs,
    bool requires_grad,
    Where where) {
  Record* record =
      allocate(std::move(op), OutputMetas(device, inputs, outputs).span(), inputs.size(), where);
  record->requires_grad_ = requires_grad;
  record->captured_ = true;
  record->input_count_ = static_cast<std::uint16_t>(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Edge& edge = *new (record->edges() + i) Edge;
    edge.producer = inputs[i]->record();
    edge.output = inputs[i]->output() & 0xff;
    edge.keeps_value = 1;
    edge.ordinal = edge.producer->next_ordinal();
    edge.producer->add_handle();
  }
  return record;
}

Record* Record::make_constant(
    Value value, Ref<ActorCell> sink, Where where, std::uint32_t first_ordinal) {
  Ref<SharedMeta> meta = value->shared_meta();
  Record* record = allocate(nullptr, {&meta, 1}, 0, where);
  record->cell_.~Ref<ActorCell>();
  new (&record->value_) Value(std::move(value));
  record->constant_ = true;
  record->requires_grad_ = static_cast<bool>(sink);
  record->sink_ = std::move(sink);
  record->consumptions_.store(first_ordinal, std::memory_order_relaxed);
  return record;
}

Value Record::ready_value(std::size_t output) const noexcept {
  if (constant_) return value_;
  if (!cell_) return nullptr;
  const Node* node = Node::in(cell_);
  return node ? node->published(output) : nullptr;
}

void Record::handles_gone() noexcept {
  if (constant_ || !cell_) return;
  if (Node* node = Node::in(cell_)) node->drop_published();
}

void Record::release_handle() noexcept {
  // The common end of a temporary: nobody else counts it, so nobody can see it change.
  if (counts_.load(std::memory_order_acquire) == (one_handle | 1)) {
    counts_.store(0, std::memory_order_relaxed);
    destroy();
    return;
  }
  const std::uint64_t before = counts_.fetch_sub(one_handle, std::memory_order_acq_rel);
  if (before >> 32 == 1) handles_gone();
  release();
}

void Record::release() noexcept {
  const std::uint64_t before = counts_.fetch_sub(1, std::memory_order_acq_rel);
  if ((before & 0xffffffff) == 1) destroy();
}

void Record::destroy() noexcept {
  // A chain of a million ops must not recurse a million deep: whoever dies while another is being
  // destroyed queues up.
  thread_local Record* dead = nullptr;
  thread_local bool reaping = false;
  next_dead = dead;
  dead = this;
  if (reaping) return;
  reaping = true;
  while (dead) {
    Record* record = dead;
    dead = record->next_dead;
    record->handles_gone();
    System& system = record->metas()[0]->system();
    const std::size_t size = record->bytes();
    record->~Record();
    system.deallocate(record, size);
  }
  reaping = false;
}

void Record::free_graph() noexcept {
  if (freed_) return;
  freed_ = true;
  for (Edge& edge : inputs()) {
    if (edge.keeps_value)
      edge.producer->release_handle();
    else
      edge.producer->release();
  }
  input_count_ = 0;
  if (holds_itself_) {
    holds_itself_ = false;
    if (counts_.fetch_sub(one_handle, std::memory_order_acq_rel) >> 32 == 1) handles_gone();
  }
}

}  // namespace troupe
