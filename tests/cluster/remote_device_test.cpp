#include "remote_device.hpp"

#include "lent_pair.hpp"
#include "support/engine.hpp"
#include "support/memory.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/record.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace troupe::testing {

namespace {

using Made = std::vector<Tensor>;

/// What a function of tensors is given, alike on each device.
struct Given {
  Tensor x = test::drawn({4, 6}, 1);
  Tensor y = test::drawn({4, 6}, 2);
  Tensor weight = test::drawn({5, 6}, 3);
  Tensor images = test::drawn({2, 3, 8, 8}, 4);
  Tensor kernels = test::drawn({4, 3, 3, 3}, 5);
  Tensor rows = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{3, 0, 2, 1}, {4});
};

struct Case {
  std::string name;
  std::function<Made(const Given&)> call;
};

std::vector<Case> cases() {
  return {
      {"elementwise",
       [](const Given& g) {
         return Made{g.x * g.y + 1.5, tanh(g.x), g.x > g.y};
       }},
      {"broadcast", [](const Given& g) { return Made{g.x + sum(g.y, {0}, true)}; }},
      {"views",
       [](const Given& g) {
         return Made{
             transpose(g.x, 0, 1) * 2,
             reshape(transpose(g.x, 0, 1), {24}),
             slice(g.x, 1, 2, 5) + 1};
       }},
      {"products",
       [](const Given& g) {
         return Made{matmul(g.x, transpose(g.y, 0, 1)), linear(g.x, g.weight)};
       }},
      {"convolution",
       [](const Given& g) {
         const Tensor y = conv2d(g.images, g.kernels);
         return Made{y, max_pool2d(relu(y), {2, 2}), avg_pool2d(y, {2, 2})};
       }},
      {"folds",
       [](const Given& g) {
         return Made{sum(g.x), mean(g.x, {1}), amax(g.x, {0}), argmax(g.x, 1), cumsum(g.x, 1)};
       }},
      {"lines",
       [](const Given& g) {
         return Made{softmax(g.x, 1), log_softmax(g.x, 1), cross_entropy(g.x, g.rows)};
       }},
      {"indices",
       [](const Given& g) {
         return Made{index_select(g.x, 0, g.rows), embedding(g.rows, g.weight), one_hot(g.rows, 5)};
       }},
      {"joined",
       [](const Given& g) {
         return Made{concat(Made{g.x, g.y}, 0)};
       }},
      {"dtypes",
       [](const Given& g) {
         return Made{
             cast(g.x, DType::float64) * 3,
             cast(g.x, DType::bfloat16),
             cast(g.rows, DType::float32)};
       }},
      {"random",
       [](const Given& g) {
         return Made{dropout(g.x, 0.5), uniform({3, 3}, 0, 1), randn({4, 4}) * 2};
       }},
      {"gradients",
       [](const Given& g) {
         const Tensor x = requires_grad(g.images);
         const Tensor kernels = requires_grad(g.kernels);
         const Tensor y = max_pool2d(relu(conv2d(x, kernels)), {2, 2});
         backward(sum(log_softmax(reshape(y, {2, 36}), 1) * 0.1));
         return Made{grad_of(x), grad_of(kernels)};
       }},
  };
}

std::vector<std::byte> bits(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.meta().bytes());
  tensor.download(tensor.dtype(), bytes);
  return bytes;
}

}  // namespace

TEST_CASE("ops on a peer's device have the bits of one's own", "[cluster][device]") {
  LendingNode there("there");
  BorrowingNode here(there);
  CHECK(here.remote->name() == "there/cpu");
  CHECK(&Devices::of(here.system).get("there/cpu") == here.remote);
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const auto run = [&](Device& device) {
      const OnDevice on(device);
      here.scope.seed(7);
      return one.call(Given());
    };
    const Made want = run(here.local);
    const Made got = run(*here.remote);
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      CHECK(&got[i].record()->device() == here.remote);
      CHECK(got[i].meta() == want[i].meta());
      CHECK(bits(got[i]) == bits(want[i]));
    }
  }
  CHECK(there.host->counters().launches > 40);
  CHECK(there.host->counters().refusals == 0);
}

TEST_CASE("elements travel in pieces, and gradients travel back", "[cluster][device]") {
  LendingNode there("there");
  BorrowingNode here(there);
  const Tensor x = requires_grad(test::drawn({700'000}, 3));  // 2.8 MB
  const Tensor squared = to(x, *here.remote) * 3;
  backward(sum(to(squared, here.local)));
  CHECK(bits(squared) == bits(x * 3));
  const std::vector<float> gradient = grad_of(x).to_vector<float>();
  CHECK(std::all_of(gradient.begin(), gradient.end(), [](float g) { return g == 3; }));
}

// Kernels that take their time, on threads of their own: what waits for them is not begun before.
TEST_CASE("launches that end later are waited for", "[cluster][device]") {
  LendingNode there("there", {}, 3);
  BorrowingNode here(there, 3);
  const auto run = [&](Device& device) {
    const OnDevice on(device);
    const Tensor x = test::drawn({400, 400}, 1);
    Tensor y = x;
    for (int i = 0; i < 5; ++i) y = softmax(matmul(y, x) + matmul(x, y), 1);
    return bits(y);
  };
  const std::vector<std::byte> want = run(here.local);
  for (int i = 0; i < 5; ++i) CHECK((run(*here.remote) == want));
  here.wait([&] { return there.host->counters().values == 0; });
}

TEST_CASE("what dies here is freed there", "[cluster][device]") {
  LendingNode there("there");
  BorrowingNode here(there);
  {
    const OnDevice on(*here.remote);
    Tensor x = test::drawn({100, 100}, 1);
    for (int i = 0; i < 20; ++i) x = tanh(x) + 1;
    (void)bits(x);
    CHECK(there.host->counters().values > 0);
    CHECK(there.host->counters().bytes >= 40'000);
  }
  here.wait([&] { return there.host->counters().values == 0; });
  CHECK(there.host->counters().bytes == 0);
  CHECK(there.host->counters().loans == 1);
}

TEST_CASE("what fails there is an error here, with op and device", "[cluster][device]") {
  LendingNode there("there", {.bytes_max = 100'000});
  BorrowingNode here(there);
  const OnDevice on(*here.remote);
  SECTION("more than the peer lends") {
    const Tensor x = test::drawn({100, 100}, 1);
    const Tensor y = x + 1;
    const auto error = error_of([&] { (void)bits(matmul(x, y)); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::overload);
    CHECK(error->op() == "matmul");
    CHECK(error->message().find("on \"there/cpu\"") != std::string::npos);
    CHECK(error->file().find("remote_device_test") != std::string::npos);
    // What there is goes on being good.
    CHECK(y.to_vector<float>()[0] == x.to_vector<float>()[0] + 1);
  }
  SECTION("elements that find no room") {
    const Tensor x = test::drawn({200, 200}, 1);
    const auto error = error_of([&] { (void)bits(x + 1); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::overload);
    CHECK(error->op() == "add");
  }
  SECTION("an index out of range") {
    const Tensor rows = Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{9}, {1});
    const auto error = error_of([&] { (void)bits(embedding(rows, Given().weight)); });
    REQUIRE(error);
    CHECK(error->op() == "embedding");
    CHECK(error->message().find("on \"there/cpu\"") != std::string::npos);
  }
}

TEST_CASE("a peer that dies ends what is under way on it", "[cluster][device]") {
  auto there = std::make_unique<LendingNode>("there");
  BorrowingNode here(*there);
  const OnDevice on(*here.remote);
  const Tensor x = test::drawn({300, 300}, 1);
  Tensor y = matmul(x, x);
  (void)bits(y);
  there->end();
  const auto began = std::chrono::steady_clock::now();
  const auto error = error_of([&] {
    for (int i = 0; i < 100; ++i) y = matmul(y, x);
    (void)bits(y);
  });
  REQUIRE(error);
  CHECK(error->code() == ErrorCode::peer_down);
  CHECK(error->op() == "matmul");
  CHECK(error->message().find("node 'there'") != std::string::npos);
  CHECK(error->message().find("\"there/cpu\"") != std::string::npos);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(8));
  // And later calls at once.
  const auto later = error_of([&] { (void)(x + 1); });
  REQUIRE(later);
  CHECK(later->code() == ErrorCode::peer_down);
  CHECK(later->op() == "add");
}

namespace {

/// A lender that answers each read with pieces of these sizes.
class Liar final : public Actor<
                       cluster::BorrowDevice,
                       cluster::UploadLent,
                       cluster::LaunchLent,
                       cluster::ReadLent,
                       cluster::FreeLent> {
 public:
  static constexpr std::string_view name = "liar";
  explicit Liar(std::vector<std::size_t> pieces) : pieces_(std::move(pieces)) {}

 private:
  friend ActorAccess;
  void on(cluster::BorrowDevice&& wish) {
    borrower_ = wish.borrower;
    cluster::DeviceLent lent;
    lent.loan = cluster::LoanAddress(Ref<ActorCell>::share(&cell()));
    borrower_.send(std::move(lent));
  }
  void on(const cluster::UploadLent&) {}
  void on(const cluster::LaunchLent&) {}
  void on(cluster::ReadLent&& read) {
    const auto block = std::make_shared<std::vector<std::byte>>(1U << 20);
    for (const std::size_t size : pieces_)
      borrower_.send(cluster::LentPiece{read.call, Bytes(std::span(*block).first(size), block)});
    borrower_.send(cluster::LentDone{read.call, false, {}});
  }
  void on(const cluster::FreeLent&) {}

  std::vector<std::size_t> pieces_;
  cluster::BorrowerAddress borrower_;
};

}  // namespace

TEST_CASE("elements other than those asked for are an error, and not kept", "[cluster][device]") {
  using Sizes = std::vector<std::size_t>;
  Sizes flood(256, 1U << 20);
  flood.insert(flood.begin(), 4);
  const auto pieces = GENERATE_COPY(Sizes{}, Sizes{4}, Sizes{4, 8}, flood);
  test::Engine engine(1);
  {
    cluster::RemoteDevice device(engine.system, "there", "cpu");
    const auto liar = engine.system.spawn<Liar>(pieces);
    device.borrow(Address<cluster::BorrowDevice>(liar), 1'000'000'000);
    const Value asked = device.upload({DType::float32, {2}}, std::as_bytes(std::span("1234567")));
    std::array<std::byte, 8> into{};
    const std::size_t before = resident_bytes();
    const auto error = error_of([&] { device.download(asked, into); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::wire_corrupt);
    CHECK(error->message().find("there/cpu") != std::string::npos);
    CHECK(resident_bytes() < before + (64U << 20));
    stop(liar);
  }
}

}  // namespace troupe::testing
