#include "cpu_device.hpp"

#include "host_buffer.hpp"
#include "repeat.hpp"
#include "segment.hpp"
#include "unsupported.hpp"

#include <troupe/core/error.hpp>
#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/ops/adam_update.hpp>
#include <troupe/tensor/ops/all.hpp>
#include <troupe/tensor/ops/amax.hpp>
#include <troupe/tensor/ops/amin.hpp>
#include <troupe/tensor/ops/any.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/copy.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>
#include <troupe/tensor/ops/mean.hpp>
#include <troupe/tensor/ops/prod.hpp>
#include <troupe/tensor/ops/sgd_update.hpp>
#include <troupe/tensor/ops/sum.hpp>
#include <troupe/tensor/packed.hpp>
#include <troupe/tensor/pooled.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::cpu {

namespace {

/// Launches on so few elements take the shortest way.
constexpr std::int64_t direct_elements_max = 1024;
constexpr std::size_t stack_scratch_max = 4096;

View view_of(const ValueBody& value) noexcept {
  return {data_of(value), value.dtype(), value.contiguous(), value.shape(), value.strides()};
}

/// Runs an elementwise op on few plain elements without a plan; false when it is not such a launch.
bool run_directly(const Expressions& expressions, const Launch& launch) {
  constexpr std::size_t inputs_max = 3;
  const ValueBody& out = *launch.outputs[0];
  const std::int64_t n = out.meta().elements();
  if (n > direct_elements_max) return false;
  const void* from[inputs_max];
  bool repeats = false;
  for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
    const ValueBody& in = *launch.inputs[i];
    if (!in.contiguous()) return false;
    const std::int64_t elements = in.meta().elements();
    // As many elements as the output has: the shapes then differ in sizes of 1 only.
    if (elements != n && elements != 1) return false;
    repeats = repeats || elements != n;
    from[i] = data_of(in);
  }
  const DType dtype = launch.inputs.back()->dtype();
  const Expression expression = expressions.by_dtype[static_cast<std::size_t>(dtype)];
  if (!expression) return false;
  const void* attributes = launch.op->attributes();
  if (!repeats) {
    expression(attributes, data_of(out), from, n);
    return true;
  }
  alignas(64) std::byte tiles[inputs_max][direct_elements_max * 8];
  for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
    const ValueBody& in = *launch.inputs[i];
    if (in.meta().elements() == n) continue;
    repeat(static_cast<const std::byte*>(from[i]), size_of(in.dtype()), tiles[i], n);
    from[i] = tiles[i];
  }
  expression(attributes, data_of(out), from, n);
  return true;
}

}  // namespace

/// A launch on its way: the call, its plan, and what they point at.
class CpuDevice::KernelWork final : public Work {
 public:
  static Ref<KernelWork> make(CpuDevice& device, const Launch& launch) {
    std::byte* block = device.memory_.allocate(sizeof(KernelWork));
    return Ref<KernelWork>::adopt(new (block) KernelWork(device, launch));
  }

  KernelCall call;
  Plan plan;

  /// Keeps what a fused launch is told of its segment.
  void keep(const SegmentCall& segment) {
    segment_ = new (device_.memory_.allocate(sizeof segment)) SegmentCall(segment);
    call.segment = segment_;
  }
  /// Takes memory for the plan, and counts its chunks.
  void prepare() {
    if (plan.scratch_bytes > 0) scratch_ = device_.memory_.allocate(plan.scratch_bytes);
    phases = plan.phase_count;
    for (std::size_t i = 0; i < plan.phase_count; ++i) chunks[i] = plan.phases[i].chunks;
  }

 private:
  KernelWork(CpuDevice& device, const Launch& launch)
      : Work(device.system()),
        device_(device),
        op_(OpRef::share(const_cast<OpInstance*>(launch.op))) {
    Value* to = operands_;
    for (const Value& value : launch.inputs) *to++ = value;
    for (const Value& value : launch.outputs) *to++ = value;
  }
  ~KernelWork() override { drop(); }

  void run_chunk(std::uint32_t phase, std::uint32_t chunk) noexcept override {
    plan.phases[phase].run(call, plan, chunk, scratch_);
  }
  /// The inputs go before those who wait are told: their memory may serve what runs next.
  void finished() noexcept override { drop(); }
  [[nodiscard]] std::string_view trace_name() const noexcept override { return op_->info().name; }
  void destroy() noexcept override {
    Memory& memory = device_.memory_;
    this->~KernelWork();
    memory.free(reinterpret_cast<std::byte*>(this), sizeof(KernelWork));
  }
  void drop() noexcept {
    if (scratch_) device_.memory_.free(scratch_, plan.scratch_bytes);
    scratch_ = nullptr;
    if (segment_) device_.memory_.free(reinterpret_cast<std::byte*>(segment_), sizeof *segment_);
    segment_ = nullptr;
    for (Value& value : operands_) value.reset();
  }

  CpuDevice& device_;
  OpRef op_;
  static_assert(segment_operands_max >= 2 * operands_max);
  Value operands_[segment_operands_max];
  SegmentCall* segment_ = nullptr;
  std::byte* scratch_ = nullptr;
};

Ref<Buffer> CpuDevice::allocate(std::size_t bytes) { return make_buffer(*this, memory_, bytes); }

Ref<Buffer> CpuDevice::borrow(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  return borrow_buffer(*this, bytes, std::move(owner));
}

Value CpuDevice::upload(const Meta& meta, std::span<const std::byte> bytes) {
  Ref<Buffer> buffer = allocate(bytes.size());
  if (!bytes.empty())
    std::memcpy(static_cast<HostBuffer&>(*buffer).data(), bytes.data(), bytes.size());
  return ValueBody::make(meta, std::move(buffer));
}

void CpuDevice::download(const Value& value, std::span<std::byte> into) {
  if (into.empty()) return;
  if (value->contiguous()) {
    std::memcpy(into.data(), data_of(*value), into.size());
    return;
  }
  KernelCall call;
  call.in_count = call.out_count = 1;
  call.in[0] = view_of(*value);
  call.out[0] = {
      into.data(), value->dtype(), true, value->shape(), contiguous_strides(value->shape())};
  Plan copy;
  table_.plans[index_of(Copy::id)](call, copy);
  run_now(call, copy);
}

Ticket CpuDevice::read(const Value& value, Use use) {
  const std::size_t bytes = value->meta().bytes();
  if (value->contiguous()) {
    use({static_cast<const std::byte*>(data_of(*value)), bytes});
  } else {
    std::vector<std::byte> rows(bytes);
    download(value, rows);
    use(rows);
  }
  return nullptr;
}

void CpuDevice::write(const Value& to, std::span<const std::byte> bytes) {
  if (!bytes.empty()) std::memcpy(data_of(*to), bytes.data(), bytes.size());
}

bool CpuDevice::supports(const OpInfo& op) const noexcept {
  if (op.family == OpFamily::view || op.family == OpFamily::transfer ||
      op.family == OpFamily::exchange)
    return true;
  return index_of(op.id) != none || host_kernels_.count(static_cast<std::uint32_t>(op.id)) > 0;
}

Expression CpuDevice::expression_of(const OpInstance& op, DType dtype) const noexcept {
  if (op.info().id == Cast::id)
    return table_.conversion_of(dtype, static_cast<const Cast*>(op.attributes())->dtype);
  const std::size_t index = index_of(op.info().id);
  const Expressions* const expressions = index == none ? nullptr : table_.expressions[index];
  return expressions ? expressions->by_dtype[static_cast<std::size_t>(dtype)] : nullptr;
}

void CpuDevice::plan(
    std::size_t index, const OpInfo& op, const KernelCall& call, Plan& plan) const {
  if (const Expressions* expressions = table_.expressions[index]) {
    const DType dtype = call.in[call.in_count - 1].dtype;
    const Expression expression = expressions->by_dtype[static_cast<std::size_t>(dtype)];
    if (!expression) throw_unsupported(op.name, dtype);
    table_.plan_elementwise(call, plan, expression, expressions->waits);
    return;
  }
  table_.plans[index](call, plan);
}

namespace {

void fill_call(
    KernelCall& call,
    const OpInstance& op,
    const Launch& launch,
    std::span<const Value> inputs,
    std::span<const Value> outputs) {
  if (inputs.size() > operands_max || outputs.size() > operands_max)
    throw Error(
        ErrorCode::unsupported,
        "the CPU takes at most " + std::to_string(operands_max) + " inputs, not " +
            std::to_string(inputs.size()))
        .op(op.info().name);
  call.attributes = op.attributes();
  call.random_seed = launch.random_seed;
  call.random_call = launch.random_call;
  call.in_count = static_cast<std::uint8_t>(inputs.size());
  call.out_count = static_cast<std::uint8_t>(outputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) call.in[i] = view_of(*inputs[i]);
  for (std::size_t i = 0; i < outputs.size(); ++i) call.out[i] = view_of(*outputs[i]);
}

void run_segment_chunk(
    const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte*) noexcept {
  const SegmentCall& segment = *call.segment;
  const std::int64_t each = segment.kernel->chunk_elements();
  const std::int64_t begin = chunk * each;
  SegmentKernel::run(segment, begin, std::min(begin + each, elements_in(segment.shape)));
}

void add_segment_phase(const SegmentCall& segment, Plan& plan) noexcept {
  const std::int64_t elements = elements_in(segment.shape);
  const std::int64_t each = segment.kernel->chunk_elements();
  plan.cost_ns += segment.kernel->cost_ns(elements);
  plan.add(&run_segment_chunk, (elements + each - 1) / each);
}

}  // namespace

Ticket CpuDevice::launch(const Launch& launch) {
  const OpInfo& op = launch.op->info();
  if (op.family != OpFamily::packing) return launch_with(launch, launch.inputs, nullptr);
  if (op.id == Pack::id) return launch_pack(launch);
  // The launch holds all values, for as long as it runs.
  Launch given = launch;
  given.op = static_cast<const Packed*>(launch.op->attributes())->op.get();
  return launch_with(
      given,
      launch.inputs.first(launch.inputs.size() - 1),
      static_cast<const std::byte*>(data_of(*launch.inputs.back())));
}

Ticket CpuDevice::launch_with(
    const Launch& launch, std::span<const Value> inputs, const std::byte* packed) {
  const OpInfo& op = launch.op->info();
  if (op.family == OpFamily::fused) return launch_fused(launch, inputs, packed);
  if (op.family == OpFamily::pooled) return launch_pooled(launch, inputs, packed);
  if (op.id == FusedUpdate::id) return launch_update(launch);
  const std::size_t index = index_of(op.id);
  if (index == none) {
    run_host_kernel(launch);
    return nullptr;
  }
  if (const Expressions* expressions = table_.expressions[index])
    if (run_directly(*expressions, launch)) return nullptr;

  KernelCall call;
  Plan plan;
  fill_call(call, *launch.op, launch, inputs, launch.outputs);
  call.precision = precision_;
  call.packed = packed;
  this->plan(index, op, call, plan);
  return run(launch, call, plan);
}

Ticket CpuDevice::run(const Launch& launch, const KernelCall& call, const Plan& plan) {
  if (plan.phase_count == 0) return nullptr;
  if (plan.cost_ns < at_once_ns || system().threads() == 1) {
    run_now(call, plan);
    return nullptr;
  }
  Ref<KernelWork> work = KernelWork::make(*this, launch);
  work->call = call;
  work->plan = plan;
  if (call.segment) work->keep(*call.segment);
  work->prepare();
  system().submit(Ref<Work>::share(work.get()));
  if (work->complete()) return nullptr;
  return Ticket::share(work.get());
}

void CpuDevice::run_now(const KernelCall& call, const Plan& plan) {
  const auto run = [&](std::byte* scratch) {
    for (std::size_t phase = 0; phase < plan.phase_count; ++phase)
      for (std::uint32_t chunk = 0; chunk < plan.phases[phase].chunks; ++chunk)
        plan.phases[phase].run(call, plan, chunk, scratch);
  };
  if (plan.scratch_bytes <= stack_scratch_max) {
    alignas(64) std::byte scratch[stack_scratch_max];
    run(scratch);
    return;
  }
  std::byte* scratch = memory_.allocate(plan.scratch_bytes);
  run(scratch);
  memory_.free(scratch, plan.scratch_bytes);
}

// --- fused ops
// ------------------------------------------------------------------------------------------

FusionLimits CpuDevice::fusion_limits(std::int64_t elements) const noexcept {
  return {
      .operands_max = segment_operands_max,
      .steps_max = 4096,
      .values_max = SegmentKernel::values_max(elements)};
}

bool CpuDevice::can_fuse(const OpInstance& op, DType dtype) const noexcept {
  return expression_of(op, dtype) != nullptr;
}

bool CpuDevice::can_end_with(
    const Fused& fused, std::span<const Meta> inputs, const Meta& result) const noexcept {
  // A mask's bytes come from memory in rows as short as the product's pieces are wide. Where they
  // do not stay in a cache, a chain of its own reads them five times as fast.
  constexpr std::size_t masked_bytes_max = 4U << 20;
  if (result.bytes() > masked_bytes_max)
    for (const Meta& input : inputs.subspan(fused.head_inputs))
      if (input.dtype == DType::boolean && input.elements() == result.elements()) return false;
  const OpId head = fused.head->info().id;
  return (head == Matmul::id || head == Linear::id || head == Conv2d::id ||
          head == Conv2dBackwardInput::id) &&
         is_floating(result.dtype);
}

namespace {

/// The axes that one of the ops of fold_loops.hpp folds; null for other ops.
const Dims* axes_of_fold(const OpInstance& op) noexcept {
  const OpId id = op.info().id;
  if (id != Sum::id && id != Mean::id && id != Prod::id && id != Amax::id && id != Amin::id &&
      id != All::id && id != Any::id)
    return nullptr;
  return &static_cast<const Fold*>(op.attributes())->axes;
}

/// How a fold sees its input: groups of adjacent axes that are folded, or kept, alike.
struct FoldGroups {
  std::size_t count = 0;
  std::int64_t kept_last = 1;  ///< elements of the last one, if it is kept
};

FoldGroups fold_groups(const Shape& shape, const Dims& axes) {
  FoldGroups groups;
  if (shape.empty()) return groups;
  std::vector<bool> folds(shape.size(), axes.empty());
  for (const std::int64_t axis : axes)
    folds[static_cast<std::size_t>(
        axis < 0 ? axis + static_cast<std::int64_t>(shape.size()) : axis)] = true;
  bool before = false;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    groups.count += groups.count == 0 || folds[d] != before ? 1 : 0;
    before = folds[d];
    groups.kept_last = before ? 1 : groups.kept_last * shape[d];
  }
  return groups;
}

}  // namespace

bool CpuDevice::can_fold(
    const Fused& fused, std::span<const Meta>, const Meta& folded) const noexcept {
  const OpId id = fused.fold->info().id;
  if (id == AdamUpdate::id || id == SgdUpdate::id) return !fused.head;
  const Dims* const axes = axes_of_fold(*fused.fold);
  if (!axes || fused.head) return false;
  const FoldGroups groups = fold_groups(folded.shape, *axes);
  // Wider rows are folded by columns, in pieces for which a chain takes longer: that pays only
  // where nothing is written.
  constexpr std::int64_t whole_row_max = 256;
  if (fused.folded_output() && groups.kept_last > whole_row_max) return false;
  // What has many groups is copied in front, with its axes in another order; four are always few.
  return groups.count <= 4;
}

std::shared_ptr<const Executable> CpuDevice::compile(
    const Fused& fused, std::span<const Meta> inputs, std::span<const Meta> outputs) const {
  std::vector<DType> dtypes;
  if (fused.head) {
    Metas result;
    fused.head->info().infer(fused.head->attributes(), inputs.first(fused.head_inputs), result);
    dtypes.push_back(result[0].dtype);
  }
  for (const Meta& meta : inputs.subspan(fused.head_inputs)) dtypes.push_back(meta.dtype);
  return std::make_shared<const SegmentKernel>(
      fused,
      dtypes,
      fused.reshapes_head ? outputs[0].shape : fused.segment_shape(inputs),
      [this](const OpInstance& op, DType dtype) {
        const Expression expression = expression_of(op, dtype);
        if (!expression) throw_unsupported(op.info().name, dtype);
        return expression;
      });
}

Ticket CpuDevice::launch_fused(
    const Launch& launch, std::span<const Value> from, const std::byte* packed) {
  const Fused& fused = *static_cast<const Fused*>(launch.op->attributes());
  const auto& kernel = static_cast<const SegmentKernel&>(*fused.executable);
  if (launch.outputs[0]->meta().elements() == 0) return nullptr;
  View inputs[segment_operands_max];
  View outputs[segment_operands_max];
  std::size_t in_count = 0;
  std::size_t out_count = 0;
  // A head's result that nothing else reads lies where the segment's last result will.
  const Value* head_result = nullptr;
  if (fused.head) {
    head_result = &launch.outputs[fused.keeps_head ? 0 : fused.last_output()];
    inputs[in_count++] = view_of(**head_result);
  }
  for (const Value& value : from.subspan(fused.head_inputs)) inputs[in_count++] = view_of(*value);
  for (const Value& value :
       launch.outputs.subspan(fused.keeps_head ? 1 : 0, fused.segment_outputs()))
    outputs[out_count++] = view_of(*value);
  SegmentCall segment;
  kernel.prepare(segment, {inputs, in_count}, {outputs, out_count});

  KernelCall call;
  Plan plan;
  if (fused.head) {
    const OpInstance& head = *fused.head;
    fill_call(call, head, launch, from.first(fused.head_inputs), {head_result, 1});
    if (fused.reshapes_head) {
      call.out[0].shape = fused.head_shape;
      call.out[0].strides = contiguous_strides(fused.head_shape);
    }
    call.precision = precision_;
    call.packed = packed;
    call.segment = &segment;
    call.run_segment = &SegmentKernel::run;
    call.run_segment_rows = &SegmentKernel::run_rows;
    this->plan(index_of(head.info().id), head.info(), call, plan);
    if (plan.ends_with_segment)
      plan.cost_ns += kernel.cost_ns(elements_in(segment.shape));
    else
      add_segment_phase(segment, plan);
  } else if (fused.fold) {
    const OpInstance& fold = *fused.fold;
    fill_call(call, fold, launch, {}, launch.outputs.last(1));
    const std::optional<std::size_t> stored = fused.folded_output();
    call.in_count = 1;
    call.in[0] = {
        stored ? outputs[*stored].data : nullptr,
        kernel.folded(),
        true,
        kernel.shape(),
        contiguous_strides(kernel.shape())};
    call.segment = &segment;
    call.make_elements = &SegmentKernel::make;
    this->plan(index_of(fold.info().id), fold.info(), call, plan);
    plan.cost_ns += kernel.cost_ns(elements_in(segment.shape));
  } else {
    call.segment = &segment;
    add_segment_phase(segment, plan);
  }
  return run(launch, call, plan);
}

Ticket CpuDevice::launch_update(const Launch& launch) {
  const Fused& prologue = static_cast<const FusedUpdate*>(launch.op->attributes())->prologue;
  const auto& kernel = static_cast<const SegmentKernel&>(*prologue.executable);
  const std::size_t outputs = launch.outputs.size();
  View inputs[segment_operands_max];
  std::size_t count = 0;
  for (const Value& value : FusedUpdate::of_prologue(launch.inputs, outputs))
    inputs[count++] = view_of(*value);
  SegmentCall segment;
  kernel.prepare(segment, {inputs, count}, {});

  const OpInstance& rule = *prologue.fold;
  KernelCall call;
  Plan plan;
  fill_call(call, rule, launch, launch.inputs.first(outputs), launch.outputs);
  call.in[call.in_count++] = {
      nullptr, kernel.folded(), true, kernel.shape(), contiguous_strides(kernel.shape())};
  call.in[call.in_count++] = view_of(*launch.inputs.back());
  call.segment = &segment;
  call.make_elements = &SegmentKernel::make;
  this->plan(index_of(rule.info().id), rule.info(), call, plan);
  plan.cost_ns += kernel.cost_ns(elements_in(segment.shape));
  return run(launch, call, plan);
}

// --- convolutions that pool
// --------------------------------------------------------------------------------

namespace {

View view_of(const Meta& meta) noexcept {
  return {nullptr, meta.dtype, true, meta.shape, contiguous_strides(meta.shape)};
}

/// What a convolution is told of the pooling of its result.
void fill_pooling(KernelCall& call, const Meta& result, const OpInstance& pooling) noexcept {
  const void* const attributes = pooling.attributes();
  call.pools = true;
  call.pools_with_relu = pooling.info().id == MaxPool2d::id
                             ? static_cast<const MaxPool2d*>(attributes)->relu
                             : static_cast<const MaxPool2dValues*>(attributes)->relu;
  for (std::size_t i = call.out_count; i > 0; --i) call.out[i] = call.out[i - 1];
  ++call.out_count;
  call.out[0] = view_of(result);
}

}  // namespace

bool CpuDevice::can_pool(
    const OpInstance& product,
    std::span<const Meta> operands,
    const Meta& result,
    const OpInstance& pooling) const {
  const OpId id = pooling.info().id;
  if (product.info().id != Conv2d::id || (id != MaxPool2d::id && id != MaxPool2dValues::id))
    return false;
  const auto& rule = *static_cast<const MaxPool2dRule*>(pooling.attributes());
  const Dims two{2, 2};
  if (rule.kernel_size != two || rule.stride != two || rule.padding != Dims{0, 0} ||
      rule.dilation != Dims{1, 1} || rule.ceil_mode)
    return false;
  Metas pooled;
  pooling.info().infer(pooling.attributes(), {&result, 1}, pooled);
  KernelCall call;
  Plan plan;
  call.attributes = product.attributes();
  call.in_count = static_cast<std::uint8_t>(operands.size());
  call.out_count = static_cast<std::uint8_t>(pooled.size());
  for (std::size_t i = 0; i < operands.size(); ++i) call.in[i] = view_of(operands[i]);
  for (std::size_t i = 0; i < pooled.size(); ++i) call.out[i] = view_of(pooled[i]);
  fill_pooling(call, result, pooling);
  this->plan(index_of(product.info().id), product.info(), call, plan);
  return plan.pools;
}

bool CpuDevice::prefers_channels_last(
    const OpInstance& op, std::span<const Meta> operands, const Meta& result) const {
  const bool pools = op.info().id == Pooled::id;
  const OpInstance& product = pools ? *static_cast<const Pooled*>(op.attributes())->product : op;
  const OpId id = product.info().id;
  if ((id != Conv2d::id && id != Conv2dBackwardInput::id) || operands.size() > operands_max)
    return false;
  Metas whole;
  if (pools)
    product.info().infer(product.attributes(), operands, whole);
  else
    whole.push_back(result);
  KernelCall call;
  Plan plan;
  call.attributes = product.attributes();
  call.in_count = static_cast<std::uint8_t>(operands.size());
  call.out_count = 1;
  for (std::size_t i = 0; i < operands.size(); ++i) call.in[i] = view_of(operands[i]);
  call.out[0] = view_of(whole[0]);
  this->plan(index_of(id), product.info(), call, plan);
  return plan.prefers_channels_last;
}

Ticket CpuDevice::launch_pooled(
    const Launch& launch, std::span<const Value> inputs, const std::byte* packed) {
  const Pooled& pooled = *static_cast<const Pooled*>(launch.op->attributes());
  const OpInstance& product = *pooled.product;
  Meta metas[operands_max];
  for (std::size_t i = 0; i < inputs.size(); ++i) metas[i] = inputs[i]->meta();
  Metas result;
  product.info().infer(product.attributes(), {metas, inputs.size()}, result);
  KernelCall call;
  Plan plan;
  fill_call(call, product, launch, inputs, launch.outputs);
  fill_pooling(call, result[0], *pooled.pooling);
  call.precision = precision_;
  call.packed = packed;
  this->plan(index_of(product.info().id), product.info(), call, plan);
  if (!plan.pools && plan.phase_count > 0)
    throw Error(ErrorCode::internal, "a convolution pools otherwise than was said when compiled");
  return run(launch, call, plan);
}

// --- packed weights
// ----------------------------------------------------------------------------------------

namespace {

/// A kernel's packing goes to its scratch; here that is the output.
void run_packing(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte*) {
  plan.inner[0](call, plan, chunk, static_cast<std::byte*>(call.out[0].data));
}

}  // namespace

/// `call.precision` is the highest where weights are packed: kernels of less do without, and a
/// program may run at another than it was captured at.
void CpuDevice::plan_pack(
    const Pack& pack, const View& weights, KernelCall& call, Plan& plan) const {
  const OpInstance& product = *pack.product;
  call.attributes = product.attributes();
  call.packs = true;
  call.in_count = static_cast<std::uint8_t>(pack.operands.size());
  call.out_count = 1;
  for (std::size_t i = 0; i < pack.operands.size(); ++i)
    call.in[i] = i == 1 ? weights : view_of(pack.operands[i]);
  call.out[0] = view_of(pack.result);
  this->plan(index_of(product.info().id), product.info(), call, plan);
}

std::size_t CpuDevice::packed_bytes(
    const OpInstance& product, std::span<const Meta> operands, const Meta& result) const {
  const OpId id = product.info().id;
  if (id != Matmul::id && id != Linear::id && id != Conv2d::id && id != Conv2dBackwardInput::id)
    return 0;
  const Pack pack{
      OpRef::share(const_cast<OpInstance*>(&product)), {operands.begin(), operands.end()}, result};
  std::size_t bytes = 0;
  for (const Precision precision : {precision_.load(), Precision::highest}) {
    KernelCall call;
    Plan plan;
    call.precision = precision;
    plan_pack(pack, view_of(operands[1]), call, plan);
    bytes = plan.packed_bytes;
    if (bytes == 0) break;
  }
  return bytes;
}

Ticket CpuDevice::launch_pack(const Launch& launch) {
  const Pack& pack = *static_cast<const Pack*>(launch.op->attributes());
  KernelCall call;
  Plan plan;
  plan_pack(pack, view_of(*launch.inputs[0]), call, plan);
  if (plan.packed_bytes != launch.outputs[0]->meta().bytes())
    throw Error(ErrorCode::internal, "weights are packed otherwise than was said when compiled");
  call.out[0].data = data_of(*launch.outputs[0]);
  plan.inner[0] = std::exchange(plan.phases[0].run, &run_packing);
  plan.scratch_bytes = 0;
  return run(launch, call, plan);
}

// --- kernels of the user's own
// ------------------------------------------------------------------------

void CpuDevice::add_kernel(const OpInfo& op, HostKernel kernel) {
  if (static_cast<std::uint32_t>(op.id) < 65'536)
    throw Error(ErrorCode::invalid_argument, "ids below 65,536 are Troupe's own").op(op.name);
  host_kernels_[static_cast<std::uint32_t>(op.id)] = kernel;
}

void CpuDevice::run_host_kernel(const Launch& launch) {
  const OpInfo& op = launch.op->info();
  const auto found = host_kernels_.find(static_cast<std::uint32_t>(op.id));
  if (found == host_kernels_.end())
    throw Error(ErrorCode::unsupported, "the CPU has no kernel for this op")
        .op(op.name)
        .hint("give it one with troupe::cpu::add_kernel");
  HostTensor inputs[operands_max];
  HostTensor outputs[operands_max];
  Ref<Buffer> copies[operands_max];
  KernelCall checked;
  // The number of operands.
  fill_call(checked, *launch.op, launch, launch.inputs, launch.outputs);
  for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
    const Value& value = launch.inputs[i];
    inputs[i] = {data_of(*value), value->meta()};
    if (value->contiguous()) continue;
    copies[i] = allocate(value->meta().bytes());
    inputs[i].data = static_cast<HostBuffer&>(*copies[i]).data();
    download(value, {static_cast<std::byte*>(inputs[i].data), value->meta().bytes()});
  }
  for (std::size_t i = 0; i < launch.outputs.size(); ++i)
    outputs[i] = {data_of(*launch.outputs[i]), launch.outputs[i]->meta()};
  found->second(
      launch.op->attributes(), {inputs, launch.inputs.size()}, {outputs, launch.outputs.size()});
}

}  // namespace troupe::cpu
