#include "lent_pair.hpp"

#include <troupe/cluster/device_host.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/creation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace troupe::testing {

TEST_CASE("a borrower that goes leaves nothing behind", "[cluster][device]") {
  LendingNode there("there");
  {
    BorrowingNode here(there);
    const OnDevice on(*here.remote);
    const Tensor x = ones({1000}) + 1;
    (void)x.to_vector<float>();
    CHECK(there.host->counters().values > 0);
    here.network->stop();  // as if it had been killed
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (there.host->counters().loans > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(there.host->counters().loans == 0);
  CHECK(there.host->counters().values == 0);
  CHECK(there.host->counters().bytes == 0);
}

TEST_CASE("devices that a peer does not lend are named", "[cluster][device]") {
  LendingNode there("there", {.loans_max = 2});
  BorrowingNode here(there);
  const auto missing = error_of(
      [&] { (void)cluster::remote_device(here.system, *here.network, "there", "vulkan:0"); });
  REQUIRE(missing);
  CHECK(missing->code() == ErrorCode::device_mismatch);
  CHECK(missing->hint() == "node 'there' lends: cpu");
  // Asked for again it is the same, and not a second loan.
  CHECK(&cluster::remote_device(here.system, *here.network, "there", "cpu") == here.remote);
  CHECK(there.host->counters().loans == 1);
}

TEST_CASE("a peer borrows so many devices, and no more", "[cluster][device]") {
  LendingNode there("there", {.loans_max = 0});
  const auto more = error_of([&] { const BorrowingNode here(there); });
  REQUIRE(more);
  CHECK(more->code() == ErrorCode::overload);
  CHECK(there.host->counters().refusals == 1);
}

TEST_CASE("a peer that lends nothing says so", "[cluster][device]") {
  LendingNode there("there");
  BorrowingNode here(there);
  CHECK_THROWS_AS(cluster::DeviceHost(there.system, *there.network), Error);  // one lends already
  there.host.reset();
  const auto error =
      error_of([&] { (void)cluster::remote_device(here.system, *here.network, "there", "gpu"); });
  REQUIRE(error);
  CHECK(error->message().find("cluster.device") != std::string::npos);
  // What was lent stays.
  const OnDevice on(*here.remote);
  CHECK((ones({3}) + 1).to_vector<float>() == std::vector<float>{2, 2, 2});
}

}  // namespace troupe::testing
