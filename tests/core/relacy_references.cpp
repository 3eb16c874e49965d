// Goal: an actor ends exactly once, with its last address, after everything sent before; and nobody
// touches it afterwards.
// Method: count and mailbox themselves, on the model checker's atomics. One thread sends and drops
// its address, so that the actor runs with no address but the second thread's; in its turn the
// actor gives one to the third, which may send and drop it before the second has looked twice.

#include "relacy_atomics.hpp"

namespace troupe::checking {
namespace {

/// Takes the turn of an actor that was idle a moment ago.
template <class Node, class Atomics>
struct HastyMailbox : BasicMailbox<Node, Atomics> {
  bool try_claim() noexcept {
    if (!this->idle()) return false;
    this->claim();
    return true;
  }
};

/// Ends an idle actor without looking at the count once more.
template <class Atomics>
struct TrustingReferences : BasicReferences<Atomics> {
  using Base = BasicReferences<Atomics>;
  template <class Mailbox>
  typename Base::Dropped drop(Mailbox& mailbox) noexcept {
    const auto dropped = Base::drop(mailbox);
    return dropped == Base::Dropped::taken ? Base::Dropped::last : dropped;
  }
};

/// Looks for messages first, and then gives the reference back.
template <class Atomics>
struct HastyReferences : BasicReferences<Atomics> {
  using Base = BasicReferences<Atomics>;
  template <class Mailbox>
  typename Base::Arrived arrive(Mailbox& mailbox) noexcept {
    if (mailbox.has_messages()) return Base::Arrived::too_early;
    const auto arrived = Base::arrive(mailbox);
    return arrived == Base::Arrived::too_early ? Base::Arrived::last : arrived;
  }
};

template <
    Weak weak,
    template <class, class> class MailboxOf = BasicMailbox,
    template <class> class ReferencesOf = BasicReferences>
struct ReferencesModel : rl::test_suite<ReferencesModel<weak, MailboxOf, ReferencesOf>, 3> {
  using Atomics = CheckedAtomics<weak>;
  using References = ReferencesOf<Atomics>;
  using Dropped = typename BasicReferences<Atomics>::Dropped;
  using Arrived = typename BasicReferences<Atomics>::Arrived;
  enum Kind { give, number, unreachable };
  struct Node {
    typename Atomics::template Plain<Node*> next_;
    typename Atomics::template Plain<int> kind;
  };

  MailboxOf<Node, Atomics> mailbox;
  References references;  // one: the second thread's
  Node messages[3];
  Node last_words[3];  // each thread's, to carry the last reference
  typename Atomics::template Atomic<int> given{0};
  typename Atomics::template Plain<int> sent;  // by the third thread
  typename Atomics::template Plain<int> handled;
  typename Atomics::template Plain<int> ended;
  typename Atomics::template Plain<int> ends;

  void before() { references.add(); }  // the first thread's

  /// Whoever holds an address or runs the actor finds it alive.
  void touch() { RL_ASSERT(ended == 0); }

  void thread(unsigned index) {
    if (index == 0) {
      messages[0].kind = give;
      touch();
      const bool scheduled = mailbox.push(messages[0]);
      drop(index);
      if (scheduled) run();
    } else if (index == 1) {
      drop(index);
    } else if (given.exchange(2, std::memory_order_acq_rel) == 1) {
      messages[1].kind = number;
      sent = 1;
      touch();
      if (mailbox.push(messages[1])) run();
      drop(index);
    }
  }

  void drop(unsigned index) {
    touch();
    const Dropped dropped = references.drop(mailbox);
    if (dropped == Dropped::given_back) return;
    if (dropped == Dropped::last) return end();
    last_words[index].kind = unreachable;
    const bool scheduled = mailbox.push(last_words[index]);
    if (scheduled || dropped == Dropped::taken) run();
  }

  void run() {
    for (;;) {
      touch();
      Node* node = mailbox.pop();
      if (!node) {
        if (mailbox.go_idle()) return;
        continue;
      }
      const int kind = node->kind;
      if (kind == unreachable) {
        const Arrived arrived = references.arrive(mailbox);
        if (arrived == Arrived::last) return end();
        if (arrived == Arrived::too_early) (void)mailbox.push(*node);
      } else if (kind == number) {
        handled = handled + 1;
      } else {
        references.add();
        int nobody = 0;
        // If the third thread has looked already, nobody takes it.
        if (!given.compare_exchange_strong(
                nobody, 1, std::memory_order_acq_rel, std::memory_order_acquire))
          drop_own();
      }
    }
  }
  /// In the actor's own turn, so it cannot be the last that ends it at once.
  void drop_own() {
    const Dropped dropped = references.drop(mailbox);
    RL_ASSERT(dropped != Dropped::last && dropped != Dropped::taken);
    if (dropped == Dropped::given_back) return;
    messages[2].kind = unreachable;
    (void)mailbox.push(messages[2]);
  }

  void end() {
    touch();
    RL_ASSERT(handled == sent);
    ended = 1;
    ends = ends + 1;
  }

  void after() {
    // Given, but never taken.
    if (given.load(std::memory_order_relaxed) == 1) drop(0);
    RL_ASSERT(ends == 1);
  }
};

}  // namespace

TEST_CASE("an actor's last address ends it once, after all messages", "[core][relacy]") {
  const Outcome outcome = check<ReferencesModel<Weak::nothing>>(400'000);
  INFO(outcome.report);
  CHECK(outcome.passed);
}

TEST_CASE("taking the turn of an actor that was seen idle is caught", "[core][relacy]") {
  CHECK_FALSE(check<ReferencesModel<Weak::nothing, HastyMailbox>>(400'000).passed);
}

TEST_CASE("ending an idle actor by the count read before is caught", "[core][relacy]") {
  CHECK_FALSE(
      check<ReferencesModel<Weak::nothing, BasicMailbox, TrustingReferences>>(400'000).passed);
}

TEST_CASE("looking for messages before the count is caught", "[core][relacy]") {
  CHECK_FALSE(check<ReferencesModel<Weak::nothing, BasicMailbox, HastyReferences>>(400'000).passed);
}

TEST_CASE("giving an address back without releasing is caught", "[core][relacy]") {
  CHECK_FALSE(check<ReferencesModel<Weak::acq_rel>>(400'000).passed);
}

}  // namespace troupe::checking
