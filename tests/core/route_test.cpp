#include "messages.hpp"

#include <troupe/core/monitor.hpp>
#include <troupe/core/route.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <map>
#include <span>
#include <string>
#include <vector>

namespace troupe::testing {
namespace {

/// Two systems, and what a network would keep for them: each side's exported actors by number.
///
/// Threads   one; both systems are simulated.
class Net {
 public:
  Net() {
    side[0].net = side[1].net = this;
    side[1].number = 1;
  }

  struct Side {
    Net* net = nullptr;
    unsigned number = 0;
    std::map<std::uint64_t, ActorCell*> stand_ins;  // by the other side's number
    bool cut = false;
    sim::World world{1};
    std::vector<Ref<ActorCell>> exported;

    Side& other() { return net->side[1 - number]; }
    /// The other side's actor, by the number it has there.
    template <class... Ms>
    Address<Ms...> import(std::uint64_t there);
    std::uint64_t export_actor(Ref<ActorCell> cell) {
      for (std::size_t i = 0; i < exported.size(); ++i)
        if (exported[i] == cell) return i;
      exported.push_back(std::move(cell));
      return exported.size() - 1;
    }
  };

  Side side[2];

  ~Net() {
    for (Side& s : side) s.exported.clear();
  }
  void run() {
    for (int i = 0; i < 20; ++i)
      for (Side& s : side) s.world.run_until_idle();
  }
};

/// Writes what it is shown as a list of numbers and texts, and reads it back in the same order on
/// the other side.
class Tape final : public FieldVisitor {
 public:
  explicit Tape(Net::Side& writer) : side_(&writer) {}
  void turn_over() {
    reading_ = true;
    side_ = &side_->other();
  }

  using FieldVisitor::field;
  void field(std::string_view, bool& value) override { number(value); }
  void field(std::string_view, std::int64_t& value) override { number(value); }
  void field(std::string_view, std::uint64_t& value) override { number(value); }
  void field(std::string_view, double& value) override { number(value); }
  void field(std::string_view, std::string& value) override {
    if (reading_)
      value = texts_.at(at_++);
    else
      texts_.push_back(value);
  }
  void field(std::string_view, Ref<ActorCell>& address) override {
    // Whose actor it is, from the writer's side, and its number there; or nobody's.
    std::string whose = "null";
    std::uint64_t there = 0;
    if (!reading_ && address) {
      whose = "mine";
      for (const auto& [known, cell] : side_->stand_ins)
        if (cell == address.get()) whose = "yours", there = known;
      if (whose == "mine") there = side_->export_actor(address);
    }
    field("", whose);
    number(there);
    if (!reading_) return;
    if (whose == "null") address = {};
    if (whose == "yours") address = side_->exported.at(there);
    if (whose == "mine") address = side_->import <>(there).cell();
  }
  void field(std::string_view, Bytes& bytes) override {
    std::string text(reinterpret_cast<const char*>(bytes.span().data()), bytes.size());
    field("", text);
    if (reading_) bytes = Bytes::copy_of(std::as_bytes(std::span(text)));
  }
  void local(std::string_view name) override {
    throw Error(ErrorCode::unsupported, std::string(name) + " does not travel");
  }
  void list_length(std::string_view, std::uint64_t& length) override { number(length); }

 private:
  template <class T>
  void number(T& value) {
    if (reading_)
      value = static_cast<T>(std::stoll(texts_.at(at_++)));
    else
      texts_.push_back(std::to_string(static_cast<long long>(value)));
  }

  Net::Side* side_;
  bool reading_ = false;
  std::size_t at_ = 0;
  std::vector<std::string> texts_;
};

using Known = MessageList<70'000, 70'099, Number, Token, Fault, Question, Held>;

/// Takes messages by their numbers to an actor of the other side.
class Wire final : public Route {
 public:
  Wire(Net::Side& from, std::uint64_t there) : from_(from), there_(there) {}
  ~Wire() override { from_.stand_ins.erase(there_); }

  void send(ActorCell&, Message& message) override {
    if (from_.cut) throw Error(ErrorCode::actor_down, "the wire is cut");
    Tape tape(from_);
    message.type().visit(message, tape);
    tape.turn_over();
    const MessageType* type = Known::find(message.type().id);
    if (!type) type = core_message(message.type().id);
    if (!type) throw Error(ErrorCode::unsupported, "a frame of unknown type");
    ActorCell& to = *from_.other().exported.at(there_);
    to.deliver(*type->read(to, tape));
  }

 private:
  Net::Side& from_;
  std::uint64_t there_;
};

template <class... Ms>
Address<Ms...> Net::Side::import(std::uint64_t there) {
  const auto known = stand_ins.find(there);
  if (known != stand_ins.end()) return Address<Ms...>(Ref<ActorCell>::share(known->second));
  auto address = remote_address<Ms...>(world.system(), std::make_shared<Wire>(*this, there));
  stand_ins[there] = address.cell().get();
  return address;
}

class Recorder final : public Actor<Number, Fault> {
 public:
  Recorder(std::vector<std::int64_t>& numbers, std::vector<std::string>& texts)
      : numbers_(numbers), texts_(texts) {}

 private:
  friend ActorAccess;
  void on(const Number& number) { numbers_.push_back(number.value); }
  void on(Fault&& fault) { texts_.push_back(std::move(fault.what)); }
  std::vector<std::int64_t>& numbers_;
  std::vector<std::string>& texts_;
};

class Watcher final : public Actor<Down> {
 public:
  explicit Watcher(std::vector<Down>& downs) : downs_(downs) {}

 private:
  friend ActorAccess;
  void on(Down&& down) { downs_.push_back(std::move(down)); }
  std::vector<Down>& downs_;
};

}  // namespace

TEST_CASE("a remote address takes messages to another system, in order", "[core]") {
  std::vector<std::int64_t> numbers;
  std::vector<std::string> texts;
  Net net;
  {
    const auto recorder = net.side[1].world.system().spawn<Recorder>(numbers, texts);
    const auto remote =
        net.side[0].import <Number, Fault>(net.side[1].export_actor(recorder.cell()));
    const Address<Number> narrow = remote;  // nobody can tell it from a local one
    for (std::int64_t i = -5; i < 20; ++i) narrow.send(Number{i});
    remote.send(Fault{"text"});
  }
  net.run();
  REQUIRE(numbers.size() == 25);
  for (std::int64_t i = -5; i < 20; ++i) CHECK(numbers[static_cast<std::size_t>(i + 5)] == i);
  CHECK(texts == std::vector<std::string>{"text"});
  CHECK(net.side[0].world.system().actors_alive() == 0);
  net.side[1].exported.clear();
  net.run();
  CHECK(net.side[1].world.system().actors_alive() == 0);
}

TEST_CASE("an answer comes back by the address in the question", "[core]") {
  Net net;
  std::vector<std::int64_t> numbers;
  std::vector<std::string> texts;
  const auto adder = net.side[1].world.system().spawn<Adder>();
  const auto recorder = net.side[0].world.system().spawn<Recorder>(numbers, texts);
  const auto remote = net.side[0].import <Number, Question>(net.side[1].export_actor(adder.cell()));
  remote.send(Number{40});
  remote.send(Number{2});
  remote.send(Question{recorder});
  net.run();
  CHECK(numbers == std::vector<std::int64_t>{42});
}

TEST_CASE("a message that cannot travel is refused, and monitors are told", "[core]") {
  Net net;
  std::vector<Down> downs;
  const auto adder = net.side[1].world.system().spawn<Adder>();
  const auto remote = net.side[0].import <Held>(net.side[1].export_actor(adder.cell()));
  monitor(remote, net.side[0].world.system().spawn<Watcher>(downs));
  remote.send(Held{});
  net.run();
  REQUIRE(downs.size() == 1);
  CHECK(downs[0].failed);
  CHECK(downs[0].reason.message() == "what does not travel");
}

TEST_CASE("a remote actor's end is told once to each monitor, as any other's", "[core]") {
  const bool fails = GENERATE(false, true);
  const bool late = GENERATE(false, true);
  Net net;
  std::vector<Down> downs;
  System& here = net.side[0].world.system();
  const auto watcher = here.spawn<Watcher>(downs);
  const auto faulty = net.side[1].world.system().spawn<Faulty>();
  auto remote = net.side[0].import <Fault, Number>(net.side[1].export_actor(faulty.cell()));
  const Address<> same = remote;
  if (!late) monitor(remote, watcher);
  const auto other = here.spawn<Watcher>(downs);
  monitor(remote, other);
  demonitor(remote, other);
  net.run();
  CHECK(downs.empty());
  // The address alone does not keep the news away.
  if (fails)
    remote.send(Fault{"broken"});
  else
    stop(remote);
  net.run();
  CHECK(faulty.cell()->stopped());
  if (late) {
    CHECK(downs.empty());
    monitor(remote, watcher);
    net.run();
  }
  REQUIRE(downs.size() == 1);
  CHECK(downs[0].actor == same);
  CHECK(downs[0].failed == fails);
  if (fails) CHECK(downs[0].reason.message() == "broken");
  remote.send(Number{1});  // dropped, here already
  net.run();
  CHECK(downs.size() == 1);
}

TEST_CASE("a monitored remote actor is not down because its address was dropped", "[core]") {
  Net net;
  std::vector<Down> downs;
  const auto watcher = net.side[0].world.system().spawn<Watcher>(downs);
  const auto faulty = net.side[1].world.system().spawn<Faulty>();
  monitor(net.side[0].import <>(net.side[1].export_actor(faulty.cell())), watcher);
  net.run();
  CHECK(downs.empty());
  faulty.send(Fault{"broken"});
  net.run();
  REQUIRE(downs.size() == 1);
  CHECK(downs[0].reason.message() == "broken");
}

TEST_CASE("links reach across a route, either way", "[core]") {
  const bool remote_fails = GENERATE(false, true);
  Net net;
  const auto here = net.side[0].world.system().spawn<Faulty>();
  const auto there = net.side[1].world.system().spawn<Faulty>();
  const auto untied = net.side[0].world.system().spawn<Faulty>();
  const auto remote = net.side[0].import <Fault>(net.side[1].export_actor(there.cell()));
  link(here, remote);
  link(untied, remote);
  unlink(untied, remote);
  net.run();
  (remote_fails ? Address<Fault>(there) : Address<Fault>(here)).send(Fault{"broken"});
  net.run();
  CHECK(here.cell()->stopped());
  CHECK(there.cell()->stopped());
  CHECK_FALSE(untied.cell()->stopped());
}

TEST_CASE("a route that fails is reported to monitors", "[core]") {
  Net net;
  std::vector<Down> downs;
  const auto adder = net.side[1].world.system().spawn<Adder>();
  const auto remote = net.side[0].import <Number>(net.side[1].export_actor(adder.cell()));
  monitor(remote, net.side[0].world.system().spawn<Watcher>(downs));
  net.run();
  net.side[0].cut = true;
  remote.send(Number{1});
  net.run();
  REQUIRE(downs.size() == 1);
  CHECK(downs[0].failed);
  CHECK(downs[0].reason.message() == "the wire is cut");
}

}  // namespace troupe::testing
