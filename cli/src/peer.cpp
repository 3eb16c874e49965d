#include "peer.hpp"

#include <troupe/core/error.hpp>
#ifdef TROUPE_NET
#include "interrupt.hpp"
#include "join_network.hpp"
#include "models.hpp"
#include "open_data.hpp"
#include "replica.hpp"
#include "run_folder.hpp"
#include "session.hpp"

#include <troupe/cluster/device_host.hpp>
#include <troupe/cluster/follower.hpp>
#include <troupe/cluster/rendezvous.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/net/endpoint.hpp>
#include <troupe/tensor/scope.hpp>

#include <chrono>
#include <memory>
#include <stop_token>
#include <thread>
#endif

namespace troupe::cli {

#ifdef TROUPE_NET
namespace {

/// A run as a leader described it: its config, and what the data are there.
struct Described {
  io::Tree tree;
  RunConfig config;
};

Described read_terms(const cluster::RunTerms& terms) {
  Described described;
  described.tree = io::parse_json(terms.config, "the leader's config").value();
  described.config = RunConfig::from(described.tree);
  return described;
}

/// A replica and the data that it trains on.
class PeerRun final : public cluster::Run {
 public:
  PeerRun(const cluster::RunTerms& terms, Session& session, Console& console, std::stop_token stop)
      : terms_(terms), described_(read_terms(terms)) {
    const std::string here = numeric_profile(session.device());
    if (here != terms.numeric_profile)
      throw Error(
          ErrorCode::peer_mismatch,
          "the leader computes with '" + terms.numeric_profile + "', this process with '" + here +
              "': the bits would differ")
          .hint("use one build on machines of one instruction set, and --device alike");
    const RunConfig& config = described_.config;
    dataset_ = open_data(session.system().disk(), config.data, config.context, console);
    const DataFacts facts = facts_of(dataset_);
    if (!(Replica::describe(config, dataset_) == described_.tree))
      throw Error(
          ErrorCode::peer_mismatch,
          "the data at " + config.data + " are not those of the leader: " + described(facts) +
              " here, or other contents")
          .hint("copy the leader's files to the same path on this machine");
    Scope::current().seed(static_cast<std::uint64_t>(config.seed));
    const data::Loader loader = make_loader(
        session.device(),
        dataset_,
        Part::train,
        facts,
        config.context,
        loader_options(config, true));
    replica_ = std::make_unique<Replica>(Replica::Parts{
        .config = config,
        .dataset = &dataset_,
        .device = &session.device(),
        .task = make_task(config, facts, steps_of(config, loader.batches())),
        .options = trainer_options(config, loader.batches()),
        .stop = std::move(stop)});
  }

  bool train(const cluster::View& view) override { return replica_->train(view); }
  Bytes state() override { return replica_->state(); }
  std::int64_t step() const override { return replica_->step(); }

  /// Saves the run as if it were this process's own. @returns where.
  std::string save(Disk& disk, const std::string& folder, const Device& device) {
    RunFolder run(disk, folder + "/run-" + std::to_string(terms_.run));
    const DataFacts facts = facts_of(dataset_);
    run.write_config(described_.config, facts);
    (void)run.take_lease(terms_.run);
    const io::Tree about = about_run(described_.config, facts, device);
    run.save(replica_->trainer(), about, kind_of(facts));
    return run.path();
  }

 private:
  cluster::RunTerms terms_;
  Described described_;
  Dataset dataset_;
  std::unique_ptr<Replica> replica_;
};

}  // namespace

int peer(const PeerOptions& options, Console& console) {
  const net::Endpoint at = net::parse_endpoint(options.listen).value();
  Session session(options.machine, console);
  Scope scope(session.system(), session.device());
  net::Network& network = join_network(session.system(), options.cluster, "peer");
  const cluster::DeviceHost lends(session.system(), network);
  const net::Endpoint got = network.listen(at);

  const Interrupt interrupt(
      console.options().quiet,
      "\nleaving after this step; once more ends at once\n",
      "\nended at once; the run goes on without this process\n");
  std::stop_source stop;
  cluster::Follower follower(
      session.system(),
      network,
      {.leader_timeout_ns = static_cast<std::int64_t>(options.leader_seconds * 1e9),
       .invite_timeout_ns =
           options.launch ? static_cast<std::int64_t>(2 * options.join_seconds * 1e9) : 0,
       .make_run = [&](const cluster::RunTerms& terms) -> std::unique_ptr<cluster::Run> {
         return std::make_unique<PeerRun>(terms, session, console, stop.get_token());
       },
       .on_orphaned =
           [&](cluster::Run& run) {
             const std::string folder = static_cast<PeerRun&>(run).save(
                 session.system().disk(), options.rescue, session.device());
             console.say("no leader came back; the run is saved: troupe train --resume " + folder);
           },
       .on_finished =
           [&] {
             if (options.launch) stop.request_stop();
           },
       .say = [&](const std::string& line) { console.say(line); }});
  console.say(
      "node '" + network.node() + "' listens at " + net::to_string(got) + " on " +
      std::string(session.device().name()) + ", " + counted(session.system().threads(), "thread") +
      (options.cluster.certs.empty() ? "; this machine only, for there are no certificates" : ""));
  if (options.launch)
    cluster::announce(
        session.system(),
        network,
        net::parse_endpoint(options.launch->master).value(),
        options.launch->rank,
        options.launch->world,
        got.port,
        static_cast<std::int64_t>(options.join_seconds * 1e9));
  // A signal's handler cannot wake who waits; it is looked at ten times a second.
  std::jthread watch([&](const std::stop_token& ended) {
    while (!ended.stop_requested() && !Interrupt::requested())
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.request_stop();
    session.system().notify_waiters();
  });
  follower.serve(stop.get_token());
  return Interrupt::requested() ? Interrupt::exit_code : 0;
}
#else
int peer(const PeerOptions&, Console&) {
  throw Error(ErrorCode::unsupported, "this build of troupe does not talk to other machines")
      .hint("build it with -DTROUPE_NET=ON");
}
#endif

PeerOptions peer_options(const TrainOptions& options) {
  PeerOptions peer;
  // On every interface where certificates keep strangers out; else where rank 0 is on this machine.
  peer.listen = options.cluster.certs.empty() ? "127.0.0.1:0" : "0.0.0.0:0";
  peer.cluster = options.cluster;
  peer.machine = options.machine;
  peer.launch = options.launch;
  peer.join_seconds = options.join_seconds;
  return peer;
}

}  // namespace troupe::cli
