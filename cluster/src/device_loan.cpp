#include "device_loan.hpp"

#include <troupe/core/system.hpp>
#include <troupe/net/fields.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/numbered_op.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>
#include <troupe/tensor/ops/slice.hpp>
#include <troupe/tensor/value.hpp>

#include <algorithm>
#include <utility>

namespace troupe::cluster {

namespace {

/// What even an empty stretch of memory costs this process, more or less.
constexpr std::uint64_t value_bytes_min = 256;
/// Numbers that a loan knows at most, those without elements included.
constexpr std::size_t values_max = std::size_t{1} << 20;

std::string bytes_text(std::uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

/// Throws unless a tensor of this kind can be.
void check_meta(const Meta& meta) {
  if (static_cast<std::size_t>(meta.dtype) >= dtype_count)
    throw Error(
        ErrorCode::invalid_argument,
        "there is no dtype " + std::to_string(static_cast<unsigned>(meta.dtype)));
  check_sizes(meta);
}

/// Throws unless the view lies inside of so many bytes.
void check_view(const LentValue& value, std::uint64_t bytes) {
  const auto outside = [&] {
    throw Error(
        ErrorCode::invalid_argument,
        "a view " + to_string(value.meta) + ", strides " + to_string(value.strides) +
            ", from element " + std::to_string(value.offset) + " does not lie in " +
            bytes_text(bytes));
  };
  const Shape& shape = value.meta.shape;
  const auto elements = static_cast<std::int64_t>(bytes / size_of(value.meta.dtype));
  if (value.strides.size() != shape.size() || value.offset < 0 || value.offset > elements)
    outside();
  for (const std::int64_t stride : value.strides)
    if (stride < 0) outside();
  if (value.meta.elements() == 0) return;
  std::int64_t left = elements - value.offset - 1;  // behind the first element
  if (left < 0) outside();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::int64_t steps = shape[i] - 1;
    if (steps == 0 || value.strides[i] == 0) continue;
    if (value.strides[i] > left / steps) outside();
    left -= steps * value.strides[i];
  }
}

/// Whether a structured op that computes is called by vjps alone: such ops' rules look at shapes
/// more than at dtypes.
bool is_called_by_vjps(const OpInfo& op) noexcept {
  return op.family == OpFamily::structured && op.id != SliceBackward::id &&
         (op.name.ends_with("_backward") || op.name.ends_with("_take") ||
          op.name.ends_with("_curvature"));
}

/// What vjps give such an op: floating-point tensors of one dtype, and places as pooling keeps
/// them.
void check_gradient_inputs(const OpInfo& op, std::span<const Meta> inputs) {
  const auto fail = [](const Meta& input) {
    throw Error(ErrorCode::dtype_mismatch, "it does not take " + to_string(input));
  };
  const bool takes_places = op.id == MaxPool2dBackward::id || op.id == MaxPool2dTake::id;
  const bool fits =
      is_computable(inputs[0].dtype) || (takes_places && inputs[0].dtype == DType::bfloat16);
  if (!is_floating(inputs[0].dtype) || !fits) fail(inputs[0]);
  for (const Meta& input : inputs)
    if (is_floating(input.dtype) && input.dtype != inputs[0].dtype) fail(input);
  if (takes_places && inputs.size() == 2 && inputs[1].dtype != DType::uint8 &&
      inputs[1].dtype != DType::int32)
    fail(inputs[1]);
}

/// Throws unless the inputs are such as a call would have let come to the shape rule.
void check_inputs(const OpInfo& op, std::span<const Meta> inputs) {
  if (op.arity > 0 ? inputs.size() != op.arity : inputs.empty() && !op.random)
    throw Error(ErrorCode::invalid_argument, std::to_string(inputs.size()) + " inputs were given");
  if (is_called_by_vjps(op)) check_gradient_inputs(op, inputs);
  if (op.promotion == Promotion::none) return;
  for (const Meta& input : inputs)
    if (input.dtype != inputs[0].dtype || !is_computable(input.dtype) ||
        (op.promotion == Promotion::floating && !is_floating(input.dtype)))
      throw Error(ErrorCode::dtype_mismatch, "it does not compute in " + to_string(input));
}

/// Refuses attributes that no visitor can tell from others, as a dtype is shown as its number, and
/// those that only a device's own compiler sets: kernels that were not asked first would write
/// beyond their results.
class CheckAttributes final : public FieldVisitor {
 public:
  using FieldVisitor::field;
  void field(std::string_view name, bool& value) override {
    if (name == "channels_last" && value)
      throw Error(ErrorCode::unsupported, "channels come last within a device's own programs only");
  }
  void field(std::string_view, std::int64_t&) override {}
  void field(std::string_view name, std::uint64_t& value) override {
    if (name == "dtype" && value >= dtype_count)
      throw Error(ErrorCode::invalid_argument, "there is no dtype " + std::to_string(value));
  }
  void field(std::string_view, double&) override {}
  void field(std::string_view, std::string&) override {}
  void field(std::string_view, Ref<ActorCell>&) override {}
  void field(std::string_view, Bytes&) override {}
  void list_length(std::string_view, std::uint64_t&) override {}
};

/// The op of a launch's body, with its attributes.
OpRef read_op(System& system, FieldVisitor& read, std::uint32_t number) {
  OpRef op = numbered_op(system, OpId{number});
  if (!op)
    throw Error(ErrorCode::unsupported, "there is no op " + std::to_string(number))
        .hint("ops of a program's own run in its own process only");
  const OpFamily family = op->info().family;
  if (family != OpFamily::structured && family != OpFamily::elementwise)
    throw Error(ErrorCode::unsupported, "it is not launched on a device").op(op->info().name);
  set_attributes(*op, read);
  CheckAttributes check;
  set_attributes(*op, check);
  return op;
}

/// Counts elements on their way to a peer against its quota, until its session has let go of them.
Bytes counted(std::span<const std::byte> bytes, std::shared_ptr<Charge> charge) {
  struct Kept {
    std::vector<std::byte> bytes;
    std::shared_ptr<Charge> charge;
  };
  const auto kept = std::make_shared<Kept>();
  kept->bytes.assign(bytes.begin(), bytes.end());
  kept->charge = std::move(charge);
  return Bytes(kept->bytes, kept);
}

}  // namespace

Charge::Charge(
    std::shared_ptr<DeviceHost::State> host,
    std::shared_ptr<PeerUse> peer,
    std::atomic<std::uint64_t> PeerUse::*count,
    std::uint64_t bytes)
    : host_(std::move(host)), peer_(std::move(peer)), count_(count), bytes_(bytes) {
  const std::uint64_t most = host_->options.bytes_max;
  std::atomic<std::uint64_t>& counted = (*peer_).*count_;
  std::uint64_t used = counted.load(std::memory_order_relaxed);
  do {
    if (bytes_ > most || used > most - bytes_)
      throw Error(
          ErrorCode::overload,
          bytes_text(bytes_) + " more than the " + bytes_text(used) + " that the peer has " +
              (count_ == &PeerUse::reading ? "on their way to it" : "here") +
              " already; it may have " + bytes_text(most))
          .hint("place less there, make the batch smaller, or raise what the host lends");
  } while (!counted.compare_exchange_weak(used, used + bytes_, std::memory_order_relaxed));
  if (count_ == &PeerUse::bytes) host_->bytes.fetch_add(bytes_, std::memory_order_relaxed);
}

Charge::~Charge() {
  ((*peer_).*count_).fetch_sub(bytes_, std::memory_order_relaxed);
  if (count_ == &PeerUse::bytes) host_->bytes.fetch_sub(bytes_, std::memory_order_relaxed);
}

DeviceLoan::DeviceLoan(
    Device& device,
    BorrowerAddress borrower,
    std::shared_ptr<DeviceHost::State> host,
    std::shared_ptr<PeerUse> peer)
    : device_(device),
      borrower_(std::move(borrower)),
      host_(std::move(host)),
      peer_(std::move(peer)) {
  host_->loans.fetch_add(1, std::memory_order_relaxed);
  peer_->loans.fetch_add(1, std::memory_order_relaxed);
}

DeviceLoan::~DeviceLoan() {
  host_->loans.fetch_sub(1, std::memory_order_relaxed);
  peer_->loans.fetch_sub(1, std::memory_order_relaxed);
  host_->values.fetch_sub(held_.size(), std::memory_order_relaxed);
}

std::shared_ptr<Charge> DeviceLoan::charge(std::uint64_t bytes) {
  return std::make_shared<Charge>(host_, peer_, &PeerUse::bytes, std::max(bytes, value_bytes_min));
}

void DeviceLoan::refuse(std::uint64_t call, Error error) {
  host_->refusals.fetch_add(1, std::memory_order_relaxed);
  borrower_.send(LentDone{call, true, std::move(error)});
}

// --- elements come in
// -----------------------------------------------------------------------------

void DeviceLoan::on(UploadLent&& piece) {
  try {
    take_in(piece);
  } catch (...) {
    // Nobody waits for this message: who uses the number is told.
    host_->refusals.fetch_add(1, std::memory_order_relaxed);
    const auto found = held_.find(piece.number);
    if (found == held_.end() || found->second.making) return;
    Held& held = found->second;
    held.arriving = {};
    held.buffer.reset();
    held.charge.reset();
    held.failed = std::make_shared<const Error>(current_error());
  }
}

void DeviceLoan::take_in(UploadLent& piece) {
  if (held_.size() >= values_max && !held_.contains(piece.number))
    throw Error(ErrorCode::overload, "more values than a loan may have");
  const auto [found, is_new] = held_.try_emplace(piece.number);
  Held& held = found->second;
  if (is_new) host_->values.fetch_add(1, std::memory_order_relaxed);
  if (held.failed) return;
  if (is_new) {
    held.charge = charge(piece.bytes);
    held.bytes = piece.bytes;
  }
  if (held.making)
    throw Error(ErrorCode::invalid_argument, "elements were sent for a value that is being made");
  if (piece.bytes != held.bytes || piece.at != held.arriving.size() ||
      piece.data.size() > held.bytes - piece.at || (piece.data.size() == 0 && held.bytes > 0))
    throw Error(
        ErrorCode::invalid_argument,
        bytes_text(piece.data.size()) + " from byte " + std::to_string(piece.at) + " of " +
            bytes_text(piece.bytes) + " do not follow the " + std::to_string(held.arriving.size()) +
            " there are, of " + bytes_text(held.bytes));
  std::span<const std::byte> all = piece.data.span();
  if (all.size() < held.bytes) {
    held.arriving.insert(held.arriving.end(), all.begin(), all.end());
    if (held.arriving.size() < held.bytes) return;
    all = held.arriving;
  }
  const Meta meta{DType::uint8, {static_cast<std::int64_t>(held.bytes)}};
  if (held.buffer)
    device_.write(ValueBody::make(meta, held.buffer), all);
  else
    held.buffer = device_.upload(meta, all)->buffer();
  held.arriving = {};
}

// --- launches
// -------------------------------------------------------------------------------------

Value DeviceLoan::operand(const LentValue& value, std::vector<std::shared_ptr<Charge>>& kept) {
  const auto found = held_.find(value.number);
  const auto number = [&] { return "value " + std::to_string(value.number); };
  if (found == held_.end())
    throw Error(ErrorCode::invalid_argument, number() + " is not held here");
  const Held& held = found->second;
  if (held.failed) throw *held.failed;
  if (held.making || !held.buffer)
    throw Error(ErrorCode::invalid_argument, number() + " has no elements yet");
  check_meta(value.meta);
  check_view(value, held.bytes);
  // One that repeats its elements may be far larger than its memory, and takes as long to be read.
  if (value.meta.bytes() > std::max(host_->options.bytes_max, held.bytes))
    throw Error(ErrorCode::overload, to_string(value.meta) + " is more than may be had here");
  kept.push_back(held.charge);
  const Meta all{DType::uint8, {static_cast<std::int64_t>(held.bytes)}};
  return ValueBody::view(
      ValueBody::make(all, held.buffer), value.meta, value.strides, value.offset);
}

DeviceLoan::Result DeviceLoan::result(const LentValue& asked, const Meta& made) {
  check_meta(asked.meta);
  if (asked.meta != made)
    throw Error(
        ErrorCode::shape_mismatch,
        "it makes " + to_string(made) + ", and " + to_string(asked.meta) + " was asked for");
  if (asked.offset != 0 || asked.strides != contiguous_strides(made.shape))
    throw Error(ErrorCode::invalid_argument, "a result must be contiguous");
  const std::uint64_t bytes = made.bytes();
  if (const auto found = held_.find(asked.number); found != held_.end()) {
    const Held& held = found->second;
    if (held.making || held.failed || !held.buffer || held.bytes != bytes)
      throw Error(
          ErrorCode::invalid_argument,
          "value " + std::to_string(asked.number) + " cannot take " + to_string(made));
    return {asked.number, ValueBody::make(made, held.buffer), held.charge};
  }
  std::shared_ptr<Charge> charge = this->charge(bytes);
  return {asked.number, ValueBody::make(made, device_.allocate(bytes)), std::move(charge)};
}

void DeviceLoan::on(LaunchLent&& message) {
  try {
    launch(message);
  } catch (...) {
    refuse(message.call, current_error());
  }
}

void DeviceLoan::launch(const LaunchLent& message) {
  if (message.body.size() > launch_bytes_max)
    throw Error(ErrorCode::invalid_argument, "a launch of " + bytes_text(message.body.size()));
  LaunchBody body;
  OpRef op;
  net::decode_fields(message.body.span(), [&](FieldVisitor& read) {
    body.fields(read);
    op = read_op(system(), read, body.op);
  });
  const OpInfo& info = op->info();
  try {
    Running running{message.call, {}, {}};
    std::vector<Value> inputs;
    std::vector<Meta> metas;
    for (const LentValue& input : body.inputs) {
      inputs.push_back(operand(input, running.charges));
      metas.push_back(input.meta);
    }
    check_inputs(info, metas);
    Metas made;
    info.infer(op->attributes(), metas, made);
    if (made.size() != body.outputs.size())
      throw Error(
          ErrorCode::invalid_argument,
          "it makes " + std::to_string(made.size()) + " values, and " +
              std::to_string(body.outputs.size()) + " were asked for");
    std::vector<Value> outputs;
    std::vector<Result> results;
    for (std::size_t k = 0; k < made.size(); ++k) {
      for (const Result& other : results)
        if (other.number == body.outputs[k].number)
          throw Error(ErrorCode::invalid_argument, "two results were to have one number");
      results.push_back(result(body.outputs[k], made[k]));
      outputs.push_back(results.back().value);
    }
    host_->launches.fetch_add(1, std::memory_order_relaxed);
    const Ticket ticket = device_.launch(
        Launch{op.get(), inputs, outputs, body.random_seed, body.random_call, Where{}});
    for (Result& made_here : results) {
      const auto [place, is_new] = held_.try_emplace(made_here.number);
      if (is_new) host_->values.fetch_add(1, std::memory_order_relaxed);
      place->second.buffer = made_here.value->buffer();
      place->second.bytes = made_here.value->meta().bytes();
      place->second.making = static_cast<bool>(ticket);
      place->second.charge = made_here.charge;
      running.makes.push_back(made_here.number);
      running.charges.push_back(std::move(made_here.charge));
    }
    await(ticket, std::move(running));
  } catch (...) {
    Error error = current_error();
    if (error.op().empty()) error.op(info.name);
    throw error;
  }
}

void DeviceLoan::await(const Ticket& ticket, Running running) {
  if (!ticket) {
    borrower_.send(LentDone{running.call, false, {}});
    return;
  }
  const std::uint64_t token = next_token_++;
  running_.emplace(token, std::move(running));
  ticket->notify(Address<Completed>(Ref<ActorCell>::share(&cell())), token);
}

void DeviceLoan::on(Completed&& completed) {
  const auto found = running_.find(completed.token);
  if (found == running_.end()) return;
  const Running running = std::move(found->second);
  running_.erase(found);
  for (const std::uint64_t number : running.makes)
    if (const auto held = held_.find(number); held != held_.end()) held->second.making = false;
  if (!completed.failed) {
    borrower_.send(LentDone{running.call, false, {}});
    return;
  }
  refuse(
      running.call,
      completed.reason ? *completed.reason
                       : Error(ErrorCode::device_lost, "the device stopped working"));
}

// --- elements go out
// ------------------------------------------------------------------------------

void DeviceLoan::on(ReadLent&& message) {
  try {
    read(message);
  } catch (...) {
    refuse(message.call, current_error());
  }
}

void DeviceLoan::read(const ReadLent& message) {
  Running running{message.call, {}, {}};
  const Value value = operand(message.value, running.charges);
  // Of a view there may be far more than of what it views.
  const auto way = std::make_shared<Charge>(host_, peer_, &PeerUse::reading, value->meta().bytes());
  const Ticket ticket = device_.read(
      value, [borrower = borrower_, call = message.call, way](std::span<const std::byte> bytes) {
        for (std::size_t at = 0; at < bytes.size(); at += device_piece_bytes)
          borrower.send(LentPiece{
              call,
              counted(bytes.subspan(at, std::min(device_piece_bytes, bytes.size() - at)), way)});
      });
  await(ticket, std::move(running));
}

void DeviceLoan::on(FreeLent&& freed) {
  for (const std::uint64_t number : freed.numbers) forget(number);
}

void DeviceLoan::forget(std::uint64_t number) noexcept {
  if (held_.erase(number) > 0) host_->values.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace troupe::cluster
