#include <troupe/core/executor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <thread>

namespace troupe::testing {

TEST_CASE("the real executor gives each loop a thread and joins it", "[core]") {
  std::atomic<int> ran{0};
  std::atomic<int> together{0};
  {
    const auto executor = make_thread_executor();
    CHECK(executor->threads_max() > 64);
    for (int i = 0; i < 3; ++i) {
      executor->run([&] {
        together.fetch_add(1);
        while (together < 3) std::this_thread::yield();  // all three run at one time
        ran.fetch_add(1);
      });
    }
  }
  CHECK(ran == 3);
}

TEST_CASE("the caller's executor lends nothing", "[core]") {
  CHECK(make_caller_executor()->threads_max() == 0);
}

}  // namespace troupe::testing
