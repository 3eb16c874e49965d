#include "peers.hpp"

#include <troupe/cluster/messages.hpp>
#include <troupe/cluster/remote_device.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/net/network.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

// Drives real processes on this machine: what is tested is what people get who kill them.
//
// How often: TROUPE_TEST_KILLS and TROUPE_TEST_STOPS in the environment; tools/endurance sets them.
namespace troupe::cli::test {

// Goal: promise 8 with real processes.
TEST_CASE("four shards on one, two and four processes have the same bits", "[cli]") {
  const Cluster cluster(3);
  const auto model = GENERATE(as<std::string>{}, "mlp", "cnn");
  const Words common =
      small_run + Words{"--model", model, "--shards", "4", "--clip", "1"} + epochs(2);
  REQUIRE(cluster(common + Words{"--threads", "1", "--out", "one"}).code == 0);
  const std::string expected = cluster.bits("one");
  for (const std::size_t count : {1U, 3U}) {
    const std::string out = "with" + std::to_string(count);
    std::string list = cluster.peers[0]->at();
    for (std::size_t i = 1; i < count; ++i) list += "," + cluster.peers[i]->at();
    const Ended ended = cluster(common + Words{"--threads", "1", "--peers", list, "--out", out});
    CAPTURE(model, count, ended.err);
    REQUIRE(ended.code == 0);
    CHECK(cluster.bits(out) == expected);
  }
}

// Goal: what `troupe peer` lends is used by any program, and the end of its process is an error
// that names it. Method: a layer on a real process, which is then killed.
TEST_CASE("a peer lends its device until it is killed", "[cli]") {
  const Cluster cluster(1);
  System system({.threads = 1});
  cpu::attach(system);
  const Scope scope(system);
  net::NetworkOptions options{.node = "embedder"};
  options.messages.push_back(&cluster::find_message);
  net::Network& network = net::attach(system, std::move(options));
  const std::string node =
      network.connect(net::parse_endpoint(cluster.peers[0]->at()).value()).get().node;

  const nn::Linear layer(300, 200);
  const Tensor x = Tensor::copy_of<float>(std::vector<float>(32 * 300, 0.25F), {32, 300});
  const std::vector<float> want = layer(x).to_vector<float>();
  cluster::place(layer, network, node, "cpu");
  CHECK(layer(x).to_vector<float>() == want);

  cluster.peers[0]->kill();
  const Clock::time_point began = Clock::now();
  try {
    while (seconds_since(began) < 20) (void)layer(x).to_vector<float>();
    FAIL("nobody noticed");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::peer_down);
    CHECK(error.message().find("node '" + node + "'") != std::string::npos);
  }
}

// Goal: promise 2. Method: kills of a random one of four processes at random times; whoever was
// killed is started again, a leader with --resume.
TEST_CASE("kills cost no bit, and training goes on at once", "[cli]") {
  const long kills = count_of("TROUPE_TEST_KILLS", 6);
  Cluster cluster(3);
  const Words common = mlp + epochs(5);
  REQUIRE(cluster(common + Words{"--shards", "4", "--threads", "1", "--out", "whole"}).code == 0);
  const std::string expected = cluster.bits("whole");

  Draws draws;
  long killed = 0;
  long leaders = 0;
  long runs = 0;
  long stopped = 0;
  double longest = 0;
  while (killed < kills) {
    const std::string out = "run" + std::to_string(++runs);
    const Words first = common + cluster.led() + Words{"--out", out};
    const Words again = Words{"train", "--resume", out} + cluster.led();
    const auto begin = [&](const Words& words) {
      return std::make_unique<Running>(
          cluster.folder, words, "leader" + std::to_string(killed) + "-");
    };
    std::size_t seen = cluster.peers[0]->views();
    auto leader = begin(first);
    REQUIRE(eventually([&] { return cluster.peers[0]->views() > seen; }));
    while (killed < kills) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50 + draws(600)));
      if (leader->ended()) break;
      const long victim = draws(4);
      Peer& witness = *cluster.peers[victim == 1 ? 1 : 0];
      const std::size_t views = witness.views();
      ++killed;
      CAPTURE(runs, killed, victim, leader->err(), witness.err());
      Clock::time_point began;
      if (victim == 0) {
        ++leaders;
        leader->send(SIGKILL);
        if (leader->wait().code == 0) break;  // it was faster
        began = Clock::now();
        leader = begin(again);
      } else {
        Peer& peer = *cluster.peers[static_cast<std::size_t>(victim - 1)];
        began = Clock::now();
        peer.kill();
        peer.start();
      }
      REQUIRE(eventually([&] { return witness.views() > views || leader->ended(); }));
      longest = std::max(longest, seconds_since(began));
    }
    Ended ended = leader->wait();
    // Kills that come faster than steps are made leave too few at one time.
    for (; times(ended.err, "fewer than half") > 0; ++stopped) ended = begin(again)->wait();
    CAPTURE(runs, killed, ended.err, cluster.peers[0]->err(), cluster.peers[1]->err());
    REQUIRE(ended.code == 0);
    REQUIRE(cluster.bits(out) == expected);
    std::filesystem::remove_all(cluster.folder / out);
  }
  std::printf(
      "kills: %ld of processes, %ld of them leaders, in %ld runs, %ld of which stopped once with "
      "too "
      "few left; training again after at most %.2f s\n",
      killed,
      leaders,
      runs,
      stopped,
      longest);
  CHECK(longest < 5);
}

// Goal: a process that hangs is named and costs no bit; when it wakes up it is of no harm.
TEST_CASE("a stopped peer is named within 3 s, and training goes on", "[cli]") {
  Cluster cluster(2);
  const Words common = mlp + epochs(12);
  REQUIRE(cluster(common + Words{"--shards", "3", "--threads", "1", "--out", "whole"}).code == 0);
  Running leader(cluster.folder, common + cluster.led() + Words{"--out", "run"});
  // Both: one that is not in the first view yet would have the second as its only one.
  for (const auto& peer : cluster.peers) REQUIRE(eventually([&] { return peer->views() == 1; }));
  Peer& stopped = *cluster.peers[1];
  stopped.running().send(SIGSTOP);
  const Clock::time_point began = Clock::now();
  REQUIRE(eventually([&] { return times(leader.err(), "lost 'peer-") == 1; }));
  const double named_after = seconds_since(began);
  CHECK(leader.err().find("' at " + stopped.at() + ": ") != std::string::npos);
  CHECK(named_after < 4);  // 3 s of silence and what is between two looks
  const bool went_on = eventually([&] { return cluster.peers[0]->views() > 1; });
  INFO(leader.err());
  REQUIRE(went_on);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  stopped.running().send(SIGCONT);
  const Ended ended = leader.wait();
  CAPTURE(ended.err, stopped.err());
  REQUIRE(ended.code == 0);
  CHECK(cluster.bits("run") == cluster.bits("whole"));
  std::printf("stopped peer: named after %.2f s\n", named_after);
}

TEST_CASE("a peer that is asked to end says so, and that nothing is lost", "[cli]") {
  Fixture fixture;
  Peer peer(fixture.folder, "peer");
  peer.running().send(SIGINT);
  const Ended ended = peer.running().wait();
  CAPTURE(ended.err);
  CHECK(ended.code == 130);
  CHECK(ended.err.find("\nleaving after this step; once more ends at once\n") != std::string::npos);
  CHECK(ended.err.find(" on cpu, 1 thread;") != std::string::npos);
}

// Goal: promise 12 as people see it. Method: one peer is stopped three quarters of the time, for
// moments that are short beside a step: more than a busy machine does to the others.
TEST_CASE("a peer that is slowed is named, and what to do about it", "[cli]") {
  Cluster cluster(2);
  write_idx_folder(cluster.folder / "large", 3000, 50, 28);
  Running leader(
      cluster.folder,
      Words{"train", "--data", "idx:large", "--model", "cnn", "--batch-size", "300"} +
          epochs(1000) + cluster.led() + Words{"--out", "run"});
  REQUIRE(eventually([&] { return cluster.peers[1]->views() == 1; }));
  Peer& slow = *cluster.peers[1];
  const std::string name = "' at " + slow.at() + " takes ";
  const Clock::time_point began = Clock::now();
  while (times(leader.err(), name) == 0 && seconds_since(began) < 60) {
    slow.running().send(SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    slow.running().send(SIGCONT);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CAPTURE(leader.err(), slow.err());
  REQUIRE(times(leader.err(), name) == 1);
  CHECK(times(leader.err(), "as the others for its part of a step, and they wait for it") >= 1);
  leader.send(SIGINT);
  CHECK(leader.wait().code == 130);
}

// Goal: promise 10. Method: a second leader for the same run while the first is stopped, which then
// wakes up; and one while it trains.
TEST_CASE("of two leaders of one run the first writes nothing more", "[cli]") {
  const long stops = count_of("TROUPE_TEST_STOPS", 2);
  Cluster cluster(2);
  const Words common = mlp + epochs(5);
  REQUIRE(cluster(common + Words{"--shards", "3", "--threads", "1", "--out", "whole"}).code == 0);
  const std::string expected = cluster.bits("whole");
  Draws draws;
  for (long i = 0; i < stops; ++i) {
    const std::string out = "run" + std::to_string(i);
    const bool asleep = i % 2 == 0;
    Running first(cluster.folder, common + cluster.led() + Words{"--out", out}, "first-");
    REQUIRE(
        eventually([&] { return !read_file(cluster.folder / (out + "/metrics.jsonl")).empty(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(draws(200)));
    if (asleep) first.send(SIGSTOP);
    Running second(cluster.folder, Words{"train", "--resume", out} + cluster.led(), "second-");
    if (asleep) {
      REQUIRE(eventually([&] { return times(second.err(), "\nepoch ") > 0 || second.ended(); }));
      first.send(SIGCONT);
    }
    const Ended old = first.wait();
    const Ended fresh = second.wait();
    CAPTURE(i, old.err, fresh.err, cluster.peers[0]->err());
    CHECK(old.code == 1);
    CHECK(times(old.err, "error: ") == 1);
    // Of its peers or of the folder, whichever it looks at first.
    CHECK(
        times(old.err, "another process trains in " + out) +
            times(old.err, "it follows a later leader of this run") ==
        1);
    REQUIRE(fresh.code == 0);
    REQUIRE(cluster.bits(out) == expected);
    std::filesystem::remove_all(cluster.folder / out);
  }
  std::printf("leaders: %ld replaced, none of which wrote again\n", stops);
}

TEST_CASE("with certificates a killed leader's run is resumed", "[cli]") {
  Fixture troupe;
  REQUIRE(troupe({"certs", "init", "--cluster", "lab"}).code == 0);
  for (const std::string node : {"boss", "w1", "w2"})
    REQUIRE(troupe({"certs", "issue", node, "--host", "127.0.0.1"}).code == 0);
  Peer one(troupe.folder, "w1", {"--certs", "certs", "--node", "w1"});
  Peer two(troupe.folder, "w2", {"--certs", "certs", "--node", "w2"});
  const Words led = {
      "--peers", one.at() + "," + two.at(), "--certs", "certs", "--node", "boss", "--threads", "1"};
  const Words common = mlp + epochs(4);
  REQUIRE(troupe(common + Words{"--shards", "3", "--threads", "1", "--out", "whole"}).code == 0);
  {
    Running leader(troupe.folder, common + led + Words{"--out", "run"});
    REQUIRE(eventually([&] { return !read_file(troupe.folder / "run/metrics.jsonl").empty(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    leader.send(SIGKILL);
    REQUIRE(leader.wait().code == 128 + SIGKILL);
  }
  const Ended ended = troupe(Words{"train", "--resume", "run"} + led);
  CAPTURE(ended.err, one.err());
  REQUIRE(ended.code == 0);
  CHECK(times(ended.err, "going on from its state") == 1);
  CHECK(times(one.err(), "keeping step ") == 1);
  CHECK(troupe.bits("run") == troupe.bits("whole"));

  // Somebody without one of this cluster's is not let in.
  const Ended plain =
      troupe(common + Words{"--peers", one.at(), "--join-timeout", "2", "--out", "plain"});
  CAPTURE(plain.err);
  CHECK(plain.code == 1);
  CHECK(times(plain.err, "does it have certificates, as this one does not?") == 1);
  CHECK_FALSE(std::filesystem::exists(troupe.folder / "plain"));
}

TEST_CASE("a run that no leader comes back for is saved by its peer", "[cli]") {
  Cluster cluster(1, {"--leader-timeout", "0.3", "--rescue", "rescued"});
  const Words common = mlp + epochs(4);
  REQUIRE(cluster(common + Words{"--shards", "2", "--threads", "1", "--out", "whole"}).code == 0);
  {
    Running leader(cluster.folder, common + cluster.led() + Words{"--out", "run"});
    REQUIRE(eventually([&] { return !read_file(cluster.folder / "run/metrics.jsonl").empty(); }));
    leader.send(SIGKILL);
    (void)leader.wait();
  }
  const std::string before = "the run is saved: troupe train --resume ";
  REQUIRE(eventually([&] { return times(cluster.peers[0]->err(), before) == 1; }));
  const std::string said = cluster.peers[0]->err();
  const std::size_t at = said.find(before) + before.size();
  const std::string saved = said.substr(at, said.find('\n', at) - at);
  const Ended ended = cluster({"train", "--resume", saved, "--threads", "1"});
  CAPTURE(said, ended.err);
  REQUIRE(ended.code == 0);
  // The weights; a peer does not test, so it knows nothing of how tests went before.
  CHECK(
      read_file(cluster.folder / (saved + "/model.safetensors")) ==
      read_file(cluster.folder / "whole/model.safetensors"));
}

TEST_CASE("Ctrl-C at the leader saves, and at a peer ends it", "[cli]") {
  Cluster cluster(2);
  const Words common = mlp + epochs(5);
  REQUIRE(cluster(common + Words{"--shards", "3", "--threads", "1", "--out", "whole"}).code == 0);
  Running leader(cluster.folder, common + cluster.led() + Words{"--out", "run"});
  REQUIRE(eventually([&] { return !read_file(cluster.folder / "run/metrics.jsonl").empty(); }));
  cluster.peers[1]->running().send(SIGINT);
  CHECK(cluster.peers[1]->running().wait().code == 130);
  REQUIRE(eventually([&] { return times(leader.err(), "going on with 2 of 3") == 1; }));
  leader.send(SIGINT);
  const Ended cut = leader.wait();
  CAPTURE(cut.err);
  REQUIRE(cut.code == 130);
  CHECK(times(cut.err, "troupe train --resume run") == 1);
  cluster.peers[1]->start();
  const Ended ended = cluster(Words{"train", "--resume", "run"} + cluster.led());
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(cluster.bits("run") == cluster.bits("whole"));
}

TEST_CASE("what cannot be led is refused with a way on", "[cli]") {
  const Cluster cluster(2);
  const Peer& one = *cluster.peers[0];
  const Words common = mlp + epochs(1) + Words{"--threads", "1", "--out", "bad"};
  check_error(
      cluster(common + Words{"--peers", one.at() + "," + one.at()}),
      1,
      "peer " + one.at() + " is given twice",
      "name each process once");
  check_error(
      cluster(common + Words{"--peers", "127.0.0.1:1", "--join-timeout", "1"}),
      1,
      "1 of 2 processes are here after 1 s; missing: 127.0.0.1:1: ",
      "troupe peer --listen");
  check_error(
      cluster(common + Words{"--peers", "nowhere.invalid:7000", "--join-timeout", "1"}),
      1,
      "'nowhere.invalid' does not resolve",
      "troupe peer --listen");
  const Ended few = cluster(common + Words{"--shards", "1", "--peers", one.at()});
  CAPTURE(few.err);
  CHECK(few.code == 2);
  CHECK(times(few.err, "1 shards for 2 processes") == 1);

  // Other data at the peer, of the same size.
  const Folder elsewhere("elsewhere");
  write_idx_folder(elsewhere / "data", 600, 100);
  std::string labels = read_file(elsewhere / "data/train-labels-idx1-ubyte");
  REQUIRE(labels.size() > 100);
  labels[50] = static_cast<char>((labels[50] + 1) % 4);
  write_file(elsewhere / "data/train-labels-idx1-ubyte", labels);
  const Peer other(elsewhere, "other");
  const Ended mismatch = cluster(common + Words{"--peers", one.at() + "," + other.at()});
  check_error(
      mismatch, 1, "the data at idx:data are not those of the leader", "copy the leader's files");
  CHECK(times(mismatch.err, "' at " + other.at()) == 1);
  // Nothing was begun, and the one that could have taken part is free again.
  CHECK_FALSE(std::filesystem::exists(cluster.folder / "bad"));
  CHECK(cluster(common + Words{"--peers", one.at()}).code == 0);
}

TEST_CASE("what cannot be a peer is refused with a way on", "[cli]") {
  const Cluster cluster(1);
  const Folder& folder = cluster.folder;
  const auto peer = [&](const Words& words) {
    return Running(folder, Words{"peer", "--threads", "1"} + words, "bad-").wait();
  };
  check_error(
      peer({"--listen", cluster.peers[0]->at()}),
      1,
      "cannot listen at " + cluster.peers[0]->at(),
      "port");
  check_error(peer({"--listen", "0.0.0.0:0"}), 1, "others could reach it", "troupe certs init");
  check_error(peer({"--listen", "nowhere.invalid:0"}), 1, "nowhere.invalid", "");
  check_error(
      peer({"--listen", "127.0.0.1:0", "--certs", "certs", "--node", "w1"}),
      1,
      "certs/w1.crt: cannot open",
      "troupe certs init");
  REQUIRE(cluster({"certs", "init", "--cluster", "lab"}).code == 0);
  check_error(
      peer({"--listen", "127.0.0.1:0", "--certs", "certs"}),
      1,
      "--certs without --node",
      "--node NAME takes NAME.crt");
  check_error(
      peer({"--listen", "127.0.0.1:0", "--certs", "certs", "--node", "nobody"}),
      1,
      "certs/nobody.crt",
      "troupe certs issue");
  for (const std::string node : {"w1", "boss"})
    REQUIRE(cluster({"certs", "issue", node, "--host", "127.0.0.1"}).code == 0);
  check_error(  // an address that is kept for documents (RFC 5737), so no machine has it
      peer({"--listen", "192.0.2.1:0", "--certs", "certs", "--node", "w1"}),
      1,
      "cannot listen at 192.0.2.1:0",
      "give an address of this machine");
  // One end has certificates, the other has none.
  check_error(
      cluster(
          mlp + epochs(1) +
          Words{
              "--peers",
              cluster.peers[0]->at(),
              "--join-timeout",
              "1",
              "--out",
              "bad",
              "--certs",
              "certs",
              "--node",
              "boss"}),
      1,
      "does it have certificates, as this one does?",
      "troupe peer --listen");
}

}  // namespace troupe::cli::test
