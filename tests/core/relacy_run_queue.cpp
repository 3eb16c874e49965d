// Goal: each ready actor is taken exactly once, by owner or thief, also while the ring grows, and
// the taker sees what was written before it was pushed. Method: the queue itself, on the model
// checker's atomics, with a ring of one to begin with.

#include "relacy_atomics.hpp"

namespace troupe::checking {
namespace {

template <Weak weak>
struct RunQueueModel : rl::test_suite<RunQueueModel<weak>, 3> {
  using Atomics = CheckedAtomics<weak>;
  struct Item {
    typename Atomics::template Plain<int> written;
    typename Atomics::template Plain<int> taken;
  };

  RunQueue<Item*, Atomics> queue{1};
  Item items[4];

  void thread(unsigned index) {
    if (index == 0) {
      for (Item& item : items) {
        item.written = 1;
        queue.push(&item);
      }
      take();
    } else {
      take();
      take();
    }
  }

  void take() {
    if (Item* item = queue.take()) {
      RL_ASSERT(item->written == 1);
      item->taken = item->taken + 1;
    }
  }

  void after() {
    while (Item* item = queue.take()) item->taken = item->taken + 1;
    for (Item& item : items) RL_ASSERT(item.taken == 1);
  }
};

}  // namespace

TEST_CASE("the run queue holds under every memory order", "[core][relacy]") {
  const Outcome outcome = check<RunQueueModel<Weak::nothing>>(20'000);
  INFO(outcome.report);
  CHECK(outcome.passed);
}

TEST_CASE("a run queue that publishes without releasing is caught", "[core][relacy]") {
  CHECK_FALSE(check<RunQueueModel<Weak::release>>(20'000).passed);
}

TEST_CASE("a run queue whose front is moved without an exchange is caught", "[core][relacy]") {
  CHECK_FALSE(check<RunQueueModel<Weak::exchange>>(20'000).passed);
}

}  // namespace troupe::checking
