// Goal: nobody sleeps while something is ready.
// Method: one thread makes something ready and asks who sleeps; the other announces that it will
// sleep and looks once more. A wake-up lost is a deadlock, which the model checker reports.

#include "relacy_atomics.hpp"

namespace troupe::checking {
namespace {

template <Weak weak>
struct ParkingModel : rl::test_suite<ParkingModel<weak>, 2> {
  using Atomics = CheckedAtomics<weak>;

  BasicSleepers<Atomics> sleepers;
  typename Atomics::template Atomic<int> ready{0};
  // A parker: a wake-up that comes first is kept.
  rl::mutex mutex;
  rl::condition_variable changed;
  typename Atomics::template Plain<bool> woken;

  void thread(unsigned index) {
    if (index == 0) {
      ready.store(1, std::memory_order_release);
      if (sleepers.any()) unpark();
    } else {
      sleepers.announce();
      if (ready.load(std::memory_order_acquire) == 0) park();
      sleepers.withdraw();
    }
  }

  void park() {
    mutex.lock($);
    while (!woken) changed.wait(mutex, $);
    woken = false;
    mutex.unlock($);
  }
  void unpark() {
    mutex.lock($);
    woken = true;
    changed.notify_one($);
    mutex.unlock($);
  }
};

/// One who asks at the end of a turn: by a fence, after the exchange on the mailbox.
template <Weak weak>
struct TurnModel : ParkingModel<weak> {
  typename CheckedAtomics<weak>::template Atomic<int> mailbox{0};

  void thread(unsigned index) {
    if (index == 1) return ParkingModel<weak>::thread(1);
    this->ready.store(1, std::memory_order_relaxed);
    mailbox.exchange(1, std::memory_order_release);
    if (this->sleepers.any_after_rmw()) this->unpark();
  }
};

}  // namespace

TEST_CASE("no wake-up is lost under any memory order", "[core][relacy]") {
  const Outcome outcome = check<ParkingModel<Weak::nothing>>(20'000);
  INFO(outcome.report);
  CHECK(outcome.passed);
}

TEST_CASE("asking by a plain load is caught", "[core][relacy]") {
  CHECK_FALSE(check<ParkingModel<Weak::asking>>(20'000).passed);
}

TEST_CASE("no wake-up at a turn's end is lost under any memory order", "[core][relacy]") {
  const Outcome outcome = check<TurnModel<Weak::nothing>>(20'000);
  INFO(outcome.report);
  CHECK(outcome.passed);
}

TEST_CASE("asking at a turn's end without a fence is caught", "[core][relacy]") {
  CHECK_FALSE(check<TurnModel<Weak::fence>>(20'000).passed);
}

}  // namespace troupe::checking
