#include <troupe/core/executor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <pthread.h>

#include <atomic>
#include <system_error>
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

#if defined(__GLIBC__)
TEST_CASE("a thread that cannot be made leaves the real executor whole", "[core]") {
  pthread_attr_t normal;
  REQUIRE(pthread_getattr_default_np(&normal) == 0);
  std::size_t stack_bytes = 0;
  pthread_attr_getstacksize(&normal, &stack_bytes);
  std::atomic<int> ran{0};
  {
    const auto executor = make_thread_executor();
    executor->run([&] { ran.fetch_add(1); });
    pthread_attr_setstacksize(&normal, std::size_t{1} << 50);  // more than there are addresses
    REQUIRE(pthread_setattr_default_np(&normal) == 0);
    CHECK_THROWS_AS(executor->run([&] { ran.fetch_add(100); }), std::system_error);
    pthread_attr_setstacksize(&normal, stack_bytes);
    REQUIRE(pthread_setattr_default_np(&normal) == 0);
    executor->run([&] { ran.fetch_add(1); });
  }
  CHECK(ran == 2);
  pthread_attr_destroy(&normal);
}
#endif

TEST_CASE("the caller's executor lends nothing", "[core]") {
  CHECK(make_caller_executor()->threads_max() == 0);
}

}  // namespace troupe::testing
