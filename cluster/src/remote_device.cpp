#include "remote_device.hpp"

#include "fleet.hpp"

#include <troupe/cluster/remote_device.hpp>
#include <troupe/core/system.hpp>
#include <troupe/net/fields.hpp>
#include <troupe/tensor/engine.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/value.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace troupe::cluster {

namespace {

constexpr std::int64_t borrow_timeout_ns = 10'000'000'000;

}  // namespace

/// A stretch of the peer's memory, by the number that both know it by.
class RemoteDevice::Memory final : public Buffer {
 public:
  static Ref<Buffer> make(
      RemoteDevice& device, std::size_t bytes, std::uint64_t number, std::uint64_t loan) {
    void* block = device.system().allocate(sizeof(Memory));
    return Ref<Buffer>::adopt(new (block) Memory(device, bytes, number, loan));
  }
  const std::uint64_t number;
  const std::uint64_t loan;

 private:
  Memory(RemoteDevice& device, std::size_t bytes, std::uint64_t number, std::uint64_t loan) noexcept
      : Buffer(device, bytes), number(number), loan(loan) {}
  void destroy() noexcept override {
    auto& device = static_cast<RemoteDevice&>(this->device());
    device.free(number, loan);
    this->~Memory();
    device.system().deallocate(this, sizeof(Memory));
  }
};

// --- the borrower's messages
// ----------------------------------------------------------------------

void Borrower::on(DeviceLent&& lent) {
  const LoanAddress loan = lent.loan;
  with_device([&](RemoteDevice& device) { device.take_in(std::move(lent)); });
  if (loan) monitor(loan, self());
}
void Borrower::on(LentDone&& done) {
  with_device([&](RemoteDevice& device) { device.take_in(std::move(done)); });
}
void Borrower::on(LentPiece&& piece) {
  with_device([&](RemoteDevice& device) { device.take_in(std::move(piece)); });
}
void Borrower::on(const Completed&) {
  with_device([](RemoteDevice& device) { device.free_now(); });
}
void Borrower::on(Down&& down) {
  with_device([&](RemoteDevice& device) { device.take_in(std::move(down)); });
}

// --- borrowing
// ------------------------------------------------------------------------------------

RemoteDevice::RemoteDevice(System& system, std::string node, std::string device)
    : Device(system),
      node_(std::move(node)),
      device_(std::move(device)),
      name_(node_ + "/" + device_) {
  lost_ = Error(ErrorCode::device_mismatch, "the device \"" + name_ + "\" was not lent");
  link_ = std::make_shared<BorrowerLink>();
  link_->device = this;
  const auto borrower = system.spawn<Borrower>(link_);
  borrower_ = borrower;
  freeing_ = borrower;
}

RemoteDevice::~RemoteDevice() {
  const std::lock_guard lock(link_->mutex);
  link_->device = nullptr;
}

void RemoteDevice::borrow(const Address<BorrowDevice>& host, std::int64_t timeout_ns) {
  {
    const std::lock_guard lock(mutex_);
    if (!lost_) return;
    asking_ = true;
  }
  host.send(BorrowDevice{device_, borrower_});
  const auto answered = [this] {
    const std::lock_guard lock(mutex_);
    return !asking_;
  };
  system().pending_outside(1);
  const bool in_time = wait_for(system(), answered, timeout_ns, "a device of another process");
  system().pending_outside(-1);
  const std::lock_guard lock(mutex_);
  if (!in_time) {
    asking_ = false;
    throw Error(
        ErrorCode::timed_out,
        "node '" + node_ + "' did not say whether it lends \"" + device_ + "\"");
  }
  if (lost_) throw *lost_;
}

void RemoteDevice::take_in(DeviceLent&& lent) {
  {
    const std::lock_guard lock(mutex_);
    if (!asking_) return;  // too late
    asking_ = false;
    if (lent.refused) {
      lost_ = std::move(lent.reason);
    } else {
      lost_.reset();
      loan_ = std::move(lent.loan);
      ++loan_number_;
      description_ = std::move(lent.description);
      ops_ = {lent.ops.begin(), lent.ops.end()};
    }
  }
  system().notify_waiters();
}

void RemoteDevice::take_in(Down&& down) {
  {
    const std::lock_guard lock(mutex_);
    if (down.actor != Address<>(loan_.cell())) return;
  }
  lose(Error(
           ErrorCode::peer_down,
           "node '" + node_ + "' is gone, and what \"" + name_ + "\" held with it" +
               (down.failed ? ": " + down.reason.message() : std::string()))
           .hint("ask for the device again once the node is back, and restore what was on it from "
                 "a checkpoint; or place it elsewhere"));
}

void RemoteDevice::lose(const Error& reason) noexcept {
  std::unordered_map<std::uint64_t, Pending> ended;
  {
    const std::lock_guard lock(mutex_);
    lost_ = reason;
    loan_ = {};
    freed_.clear();
    ended.swap(pending_);
  }
  for (auto& [call, pending] : ended) end(pending, &reason);
}

void RemoteDevice::stop() noexcept {
  lose(Error(ErrorCode::stopped, "the system stops, and \"" + name_ + "\" with it"));
}

std::string RemoteDevice::description() const {
  const std::lock_guard lock(mutex_);
  return description_ + ", lent by node '" + node_ + "'";
}

bool RemoteDevice::supports(const OpInfo& op) const noexcept {
  if (op.family == OpFamily::view || op.family == OpFamily::transfer ||
      op.family == OpFamily::exchange)
    return true;
  const std::lock_guard lock(mutex_);
  return ops_.contains(static_cast<std::uint32_t>(op.id));
}

// --- memory
// ---------------------------------------------------------------------------------------

Ref<Buffer> RemoteDevice::allocate(std::size_t bytes) {
  std::uint64_t number = 0;
  std::uint64_t loan = 0;
  {
    const std::lock_guard lock(mutex_);
    if (lost_) throw *lost_;
    number = next_++;
    loan = loan_number_;
  }
  return Memory::make(*this, bytes, number, loan);
}

void RemoteDevice::free(std::uint64_t number, std::uint64_t loan) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (lost_ || loan != loan_number_) return;
    freed_.push_back(number);
    if (freed_.size() > 1) return;  // it knows already that there is something to free
  }
  freeing_.send(Completed{});
}

void RemoteDevice::free_now() {
  std::vector<std::uint64_t> freed;
  LoanAddress loan;
  {
    const std::lock_guard lock(mutex_);
    freed.swap(freed_);
    loan = loan_;
  }
  if (!loan) return;
  for (std::size_t at = 0; at < freed.size(); at += freed_at_once_max) {
    FreeLent message;
    const std::size_t count = std::min(freed_at_once_max, freed.size() - at);
    message.numbers.assign(
        freed.begin() + static_cast<std::ptrdiff_t>(at),
        freed.begin() + static_cast<std::ptrdiff_t>(at + count));
    loan.send(std::move(message));
  }
}

Ref<Buffer> RemoteDevice::borrow(
    std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  // The peer cannot see the caller's memory: a copy, and the owner may go.
  Ref<Buffer> buffer = allocate(bytes.size());
  send_elements(static_cast<const Memory&>(*buffer), bytes);
  owner.reset();
  return buffer;
}

Value RemoteDevice::upload(const Meta& meta, std::span<const std::byte> bytes) {
  Ref<Buffer> buffer = allocate(bytes.size());
  send_elements(static_cast<const Memory&>(*buffer), bytes);
  return ValueBody::make(meta, std::move(buffer));
}

void RemoteDevice::write(const Value& to, std::span<const std::byte> bytes) {
  send_elements(memory_of(to), bytes);
}

void RemoteDevice::send_elements(const Memory& memory, std::span<const std::byte> bytes) {
  const LoanAddress to = loan();
  std::size_t at = 0;
  do {
    const std::size_t count = std::min(device_piece_bytes, bytes.size() - at);
    to.send(UploadLent{memory.number, bytes.size(), at, Bytes::copy_of(bytes.subspan(at, count))});
    at += count;
  } while (at < bytes.size());
}

LoanAddress RemoteDevice::loan() const {
  const std::lock_guard lock(mutex_);
  if (lost_) throw *lost_;
  return loan_;
}

const RemoteDevice::Memory& RemoteDevice::memory_of(const Value& value) const {
  const auto& memory = static_cast<const Memory&>(*value->buffer());
  const std::lock_guard lock(mutex_);
  if (lost_) throw *lost_;
  if (memory.loan != loan_number_)
    throw Error(
        ErrorCode::peer_restarted,
        "a tensor " + to_string(value->meta()) + " on \"" + name_ +
            "\" is of before the node was lost, and gone")
        .hint("restore it from a checkpoint");
  return memory;
}

LentValue RemoteDevice::lent(const Value& value) const {
  return {memory_of(value).number, value->meta(), value->strides(), value->offset()};
}

// --- launches and reads
// ---------------------------------------------------------------------------

std::uint64_t RemoteDevice::add(Pending pending) {
  system().pending_outside(1);
  const std::lock_guard lock(mutex_);
  const std::uint64_t call = next_++;
  pending_.emplace(call, std::move(pending));
  return call;
}

std::optional<RemoteDevice::Pending> RemoteDevice::take(std::uint64_t call) {
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(call);
  if (found == pending_.end()) return std::nullopt;
  Pending pending = std::move(found->second);
  pending_.erase(found);
  return pending;
}

Error RemoteDevice::there(Error error, std::string_view op, Where where) const {
  Error told(error.code(), "on \"" + name_ + "\": " + error.message());
  told.hint(error.hint()).op(op);
  if (*where.file) told.at(where.file, where.line);
  return told;
}

void RemoteDevice::end(Pending& pending, const Error* failure) noexcept {
  // Before those who wait are told: they may want to write over what was read.
  pending.values.clear();
  if (failure)
    pending.ticket->fail(there(*failure, pending.op, pending.where));
  else
    pending.ticket->end();
  system().pending_outside(-1);
}

Ticket RemoteDevice::launch(const Launch& launch) {
  const OpInfo& info = launch.op->info();
  try {
    if (!supports(info))
      throw Error(ErrorCode::unsupported, "it has no kernel for this op")
          .hint("compute it on another device: to(tensor, device)");
    LaunchBody body;
    body.op = static_cast<std::uint32_t>(info.id);
    body.random_seed = launch.random_seed;
    body.random_call = launch.random_call;
    for (const Value& input : launch.inputs) body.inputs.push_back(lent(input));
    for (const Value& output : launch.outputs) body.outputs.push_back(lent(output));
    Bytes shown = net::encode_fields([&](FieldVisitor& visit) {
      body.fields(visit);
      // The visitor only reads.
      info.visit(const_cast<void*>(launch.op->attributes()), visit);
    });
    if (shown.size() > launch_bytes_max)
      throw Error(
          ErrorCode::unsupported,
          "a launch of " + std::to_string(shown.size()) + " bytes; " +
              std::to_string(launch_bytes_max) + " at most");
    const LoanAddress to = loan();
    Pending pending{Ref<Receipt>::adopt(new Receipt(system())), {}, info.name, launch.where};
    pending.values.assign(launch.inputs.begin(), launch.inputs.end());
    pending.values.insert(pending.values.end(), launch.outputs.begin(), launch.outputs.end());
    const Ticket ticket = Ticket::share(pending.ticket.get());
    const std::uint64_t call = add(std::move(pending));
    to.send(LaunchLent{call, std::move(shown)});
    return ticket;
  } catch (const Error& error) {
    throw there(error, info.name, launch.where);
  }
}

Ref<Receipt> RemoteDevice::begin_read(const Value& value, Use use) {
  const LentValue lent = this->lent(value);
  const LoanAddress from = loan();
  Pending pending{Ref<Receipt>::adopt(new Receipt(system())), {value}, "read"};
  pending.use = std::move(use);
  pending.bytes = value->meta().bytes();
  const Ref<Receipt> ticket = pending.ticket;
  const std::uint64_t call = add(std::move(pending));
  from.send(ReadLent{call, lent});
  return ticket;
}

Ticket RemoteDevice::read(const Value& value, Use use) {
  if (value->meta().elements() == 0) {
    use({});
    return nullptr;
  }
  return Ticket::share(begin_read(value, std::move(use)).get());
}

void RemoteDevice::download(const Value& value, std::span<std::byte> into) {
  if (into.empty()) return;
  if (system().inside_actor())
    throw Error(ErrorCode::inside_actor, "a peer's memory was read in an actor's turn")
        .hint("to(tensor, \"cpu\") sends it on without waiting; or read it outside of actors");
  // Not into what is the caller's, who may stop waiting.
  const auto came = std::make_shared<std::vector<std::byte>>();
  const Ref<Receipt> ticket = begin_read(value, [came](std::span<const std::byte> bytes) {
    came->assign(bytes.begin(), bytes.end());
  });
  system().wait_until([&] { return ticket->complete(); }, "elements of another process's device");
  if (ticket->failed()) throw *ticket->error();
  std::memcpy(into.data(), came->data(), into.size());
}

void RemoteDevice::take_in(LentPiece&& piece) {
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(piece.call);
  if (found == pending_.end() || !found->second.use) return;
  std::vector<std::byte>& elements = found->second.elements;
  const auto bytes = piece.data.span();
  // Memory is taken by what was asked for, never by what comes; too much shows at the end.
  if (elements.size() + bytes.size() > found->second.bytes) {
    found->second.bytes = 0;
    return;
  }
  if (elements.empty()) elements.reserve(found->second.bytes);
  elements.insert(elements.end(), bytes.begin(), bytes.end());
}

void RemoteDevice::take_in(LentDone&& done) {
  std::optional<Pending> pending = take(done.call);
  if (!pending) return;
  if (done.failed) return end(*pending, &done.reason);
  if (pending->use) {
    std::optional<Error> failure;
    if (pending->elements.size() != pending->bytes) {
      failure = Error(ErrorCode::wire_corrupt, "other elements came than were asked for");
    } else {
      try {
        pending->use(pending->elements);
      } catch (...) {
        failure = current_error();
      }
    }
    return end(*pending, failure ? &*failure : nullptr);
  }
  end(*pending, nullptr);
}

// --- what people call
// -----------------------------------------------------------------------------

bool is_remote(const Device& device) noexcept {
  return dynamic_cast<const RemoteDevice*>(&device) != nullptr;
}

Device& remote_device(
    System& system, net::Network& network, const std::string& node, const std::string& device) {
  const auto host = network.find(node, std::string(device_host_name)).get().as<BorrowDevice>();
  Devices& devices = Devices::of(system);
  const std::string name = node + "/" + device;
  RemoteDevice* remote = nullptr;
  for (const auto& known : devices.all())
    if (known->name() == name) remote = dynamic_cast<RemoteDevice*>(known.get());
  if (remote) {
    remote->borrow(host, borrow_timeout_ns);
    return *remote;
  }
  auto made = std::make_unique<RemoteDevice>(system, node, device);
  made->borrow(host, borrow_timeout_ns);
  remote = made.get();
  devices.add(std::move(made));
  return *remote;
}

void place(
    const nn::Module& module,
    net::Network& network,
    const std::string& node,
    const std::string& device) {
  const std::vector<Parameter> parameters = module.parameters();
  System& system = parameters.empty() ? Scope::current().system() : parameters[0].device().system();
  nn::place(module, remote_device(system, network, node, device));
}

}  // namespace troupe::cluster
