// Goal: no message is lost or handled twice, turns never overlap, and each sees what the one before
// wrote; for every order that the memory model allows.
// Method: the mailbox itself, on the model checker's atomics. Who finds the actor idle runs it.

#include "relacy_atomics.hpp"

namespace troupe::checking {
namespace {

template <Weak weak>
struct MailboxModel : rl::test_suite<MailboxModel<weak>, 2> {
  using Atomics = CheckedAtomics<weak>;
  struct Node {
    typename Atomics::template Plain<Node*> next_;
    typename Atomics::template Plain<int> payload;
  };

  BasicMailbox<Node, Atomics> mailbox;
  Node nodes[2][2];
  typename Atomics::template Plain<int> handled;  // the actor's body
  typename Atomics::template Plain<int> last[2];

  void thread(unsigned sender) {
    for (int i = 0; i < 2; ++i) {
      Node& node = nodes[sender][i];
      node.payload = static_cast<int>(10 * sender) + i + 1;
      if (mailbox.push(node)) run();
    }
  }

  void run() {
    for (;;) {
      Node* node = mailbox.pop();
      if (!node) {
        if (mailbox.go_idle()) return;
        continue;
      }
      const int payload = node->payload;
      const int from = payload / 10;
      RL_ASSERT(payload % 10 == last[from] + 1);
      last[from] = payload % 10;
      handled = handled + 1;
    }
  }

  void after() {
    RL_ASSERT(handled == 4);
    RL_ASSERT(mailbox.idle());
  }
};

}  // namespace

TEST_CASE("the mailbox holds under every memory order", "[core][relacy]") {
  const Outcome outcome = check<MailboxModel<Weak::nothing>>(20'000);
  INFO(outcome.report);
  CHECK(outcome.passed);
}

TEST_CASE("a mailbox whose push does not release is caught", "[core][relacy]") {
  CHECK_FALSE(check<MailboxModel<Weak::acq_rel>>(20'000).passed);
}

TEST_CASE("a mailbox that goes idle without releasing is caught", "[core][relacy]") {
  CHECK_FALSE(check<MailboxModel<Weak::release>>(20'000).passed);
}

}  // namespace troupe::checking
