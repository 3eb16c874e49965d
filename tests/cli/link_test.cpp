#include "peers.hpp"
#include "support/impaired_link.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

// Two machines and a link between them, by networks of their own: needs privileges, see
// support/impaired_link.hpp.
namespace troupe::cli::test {
namespace {

using testing::ImpairedLink;
using testing::LinkOptions;

/// A leader and a peer with a link between them, and certificates, without which nobody listens off
/// his own machine.
struct TwoMachines : Fixture {
  explicit TwoMachines(const LinkOptions& options) : link(options) {
    REQUIRE((*this)({"certs", "init", "--cluster", "lab"}).code == 0);
    for (std::size_t side = 0; side < 2; ++side)
      REQUIRE(
          (*this)({"certs", "issue", names[side], "--host", ImpairedLink::addresses[side]}).code ==
          0);
    peer = std::make_unique<Running>(
        folder,
        Words{"peer", "--listen", at, "--threads", "1", "--certs", "certs", "--node", names[1]},
        "peer-",
        link.network(1));
    REQUIRE(eventually([&] { return peer->err().find(" on cpu") != std::string::npos; }));
  }
  [[nodiscard]] Ended lead(const Words& words) {
    return Running(
               folder,
               words +
                   Words{"--peers", at, "--threads", "1", "--certs", "certs", "--node", names[0]},
               "leader-",
               link.network(0))
        .wait();
  }

  const std::array<std::string, 2> names = {"boss", "w1"};
  const std::string at = std::string(ImpairedLink::addresses[1]) + ":7000";
  ImpairedLink link;
  std::unique_ptr<Running> peer;
};

}  // namespace

// Goal: losses, delays and frames that overtake each other or come twice slow a run down, and
// change no bit of it.
TEST_CASE("over a bad link the bits are the same", "[cli]") {
  if (const std::string why = ImpairedLink::why_not(); !why.empty())
    SKIP("this needs networks of its own: " << why);
  TwoMachines machines(
      {.delay_ns = 3'000'000, .jitter_ns = 4'000'000, .loss = 0.02, .twice = 0.01});
  const Words common =
      Words{
          "train", "--data", "idx:data", "--model", "mlp", "--batch-size", "40", "--shards", "2"} +
      epochs(2);
  const Ended whole = machines(common + Words{"--threads", "1", "--out", "whole"});
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  const Ended ended = machines.lead(common + Words{"--out", "run"});
  CAPTURE(ended.err, machines.peer->err());
  REQUIRE(ended.code == 0);
  CHECK(machines.bits("run") == machines.bits("whole"));
  CHECK(machines.link.lost() > 0);
  CHECK(machines.link.doubled() > 0);
  std::printf(
      "bad link: %llu frames passed, %llu lost, %llu twice\n",
      static_cast<unsigned long long>(machines.link.passed()),
      static_cast<unsigned long long>(machines.link.lost()),
      static_cast<unsigned long long>(machines.link.doubled()));
}

// Prints a figure, and tests nothing: how much of the time that gradients take at 100 Mbit/s goes
// by while the backward pass is at work. Peers that share a busy machine wait for each other
// besides.
TEST_CASE("a slow link is hidden behind the backward pass", "[.figure]") {
  if (const std::string why = ImpairedLink::why_not(); !why.empty())
    SKIP("this needs networks of its own: " << why);
  constexpr double bits_per_s = 100e6;
  TwoMachines machines({.bits_per_s = static_cast<std::uint64_t>(bits_per_s), .delay_ns = 100'000});
  write_file(machines.folder / "text.txt", small_text(60'000));
  const Ended ended = machines.lead(
      {"train",
       "--data",
       "text:text.txt",
       "--model",
       "gpt",
       "--context",
       "64",
       "--width",
       "256",
       "--layers",
       "4",
       "--heads",
       "4",
       "--epochs",
       "3",
       "--batch-size",
       "128",
       "--out",
       "run"});
  CAPTURE(ended.err, machines.peer->err());
  REQUIRE(ended.code == 0);
  // The first one compiles besides.
  const std::size_t line = ended.err.rfind("\nepoch 3: ") + 1;
  const std::string last = ended.err.substr(line, ended.err.find('\n', line) - line);
  const std::size_t at = last.rfind(", ");
  const double waited = std::atof(last.c_str() + at + 2);
  const double steps = machines.metrics("run").at(2).at("step").as_int() / 3.0;
  const auto size = std::filesystem::file_size(machines.folder / "run/model.safetensors");
  const double alone = steps * static_cast<double>(size) * 8 / bits_per_s;
  std::printf(
      "slow link: gradients take %.2f s of an epoch at 100 Mbit/s, of which %.2f s were waited "
      "for, "
      "%.0f %% hidden\n%s\n",
      alone,
      waited,
      100 * (1 - waited / alone),
      last.c_str());
}

}  // namespace troupe::cli::test
