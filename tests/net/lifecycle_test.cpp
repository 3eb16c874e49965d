#include "cluster.hpp"
#include "support/proof.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace troupe::testing {
namespace {

/// Counts the ends that it hears of, by actor.
class Registrar final : public Actor<Down> {
 public:
  static constexpr std::string_view name = "registrar";
  Registrar(std::uint64_t& downs, std::uint64_t& failed) : downs_(downs), failed_(failed) {}

 private:
  friend ActorAccess;
  void on(const Down& down) {
    ++downs_;
    failed_ += down.failed;
  }
  std::uint64_t& downs_;
  std::uint64_t& failed_;
};

}  // namespace

// Goal: promise 13: of 10⁶ actors that come and go, a fifth in another process, nothing stays, and
// each monitor hears of its actor's end exactly once.
// Method: a tenth, in rounds; of each round some actors end by failing, the others are stopped, and
// each has a registrar of its own round. Then all counts of both processes are as at the beginning.
TEST_CASE("nothing is left of actors that come and go, here and there", "[net][proof]") {
  Pair pair;
  pair.there.network->offer<CounterArguments>("counter", [](System& system, CounterArguments&& a) {
    return system.spawn<Counter>(a.from);
  });
  const auto look = [&](const auto& done) { pair.wait(done); };
  // What a first one needs once.
  (void)pair.here.network->spawn("there", "counter", CounterArguments{}).get();
  look([&] { return pair.there.system.actors_alive() == 0; });
  look([&] { return pair.here.system.actors_alive() == 0; });
  const auto blocks_here = pair.here.system.blocks_in_use();
  const auto blocks_there = pair.there.system.blocks_in_use();

  const std::uint64_t total = share(1'000'000);
  constexpr std::uint64_t round = 1'000;
  std::uint64_t downs = 0;
  std::uint64_t failed = 0;
  std::uint64_t made = 0;
  std::uint64_t broken = 0;
  while (made < total) {
    const auto registrar = pair.here.system.spawn<Registrar>(downs, failed);
    std::deque<Future<net::Found>> asked;
    std::vector<Address<Fail>> actors;
    for (std::uint64_t i = 0; i < round; ++i) {
      if (i % 5 == 0) {
        asked.push_back(pair.here.network->spawn("there", "counter", CounterArguments{}));
      } else {
        actors.emplace_back(pair.here.system.spawn<Counter>());
      }
    }
    for (auto& one : asked) actors.push_back(one.get().as<Fail>());
    for (std::size_t i = 0; i < actors.size(); ++i) {
      monitor(actors[i], registrar);
      if (i % 3 == 0) {
        actors[i].send(Fail{"as it is to be"});
        ++broken;
      } else {
        stop(actors[i]);
      }
    }
    actors.clear();
    made += round;
    pair.wait([&] { return downs == made; });
  }
  pair.wait([&] { return pair.here.system.actors_alive() == 0; });
  pair.wait([&] { return pair.there.system.actors_alive() == 0; });
  pair.wait([&] {
    const auto here = pair.here.network->peers().at(0);
    const auto there = pair.there.network->peers().at(0);
    return here.imported == 0 && here.exported == 0 && there.imported == 0 && there.exported == 0;
  });
  CHECK(downs == made);
  CHECK(failed == broken);
  CHECK(pair.here.logged("refused") + pair.there.logged("refused") == 0);
  pair.wait([&] { return pair.here.system.blocks_in_use() <= blocks_here; });
  pair.wait([&] { return pair.there.system.blocks_in_use() <= blocks_there; });
}

}  // namespace troupe::testing
