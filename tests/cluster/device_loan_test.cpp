#include "device_loan.hpp"

#include "support/engine.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/net/fields.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/numbered_op.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

/// Keeps what a loan answers.
struct Answers {
  std::vector<LentDone> done;
  std::vector<LentPiece> pieces;
};

class Answered final : public Actor<DeviceLent, LentDone, LentPiece> {
 public:
  explicit Answered(Answers& answers) : answers_(answers) {}

 private:
  friend ActorAccess;
  void on(DeviceLent&&) {}
  void on(LentDone&& done) { answers_.done.push_back(std::move(done)); }
  void on(LentPiece&& piece) { answers_.pieces.push_back(std::move(piece)); }
  Answers& answers_;
};

/// A loan, and messages to it as a peer may write them.
struct Loan {
  explicit Loan(std::uint64_t bytes_max = 1 << 20) {
    state->options.bytes_max = bytes_max;
    borrower = engine.system.spawn<Answered>(answers);
    const auto made = engine.system.spawn<DeviceLoan>(engine.device, borrower, state, peer);
    loan = made;
    down = made;
  }

  void upload(std::uint64_t number, const std::vector<float>& numbers) {
    const auto bytes = std::as_bytes(std::span(numbers));
    loan.send(UploadLent{number, bytes.size(), 0, Bytes::copy_of(bytes)});
  }
  static LentValue value(std::uint64_t number, const Shape& shape, DType dtype = DType::float32) {
    return {number, {dtype, shape}, contiguous_strides(shape), 0};
  }
  template <class Op>
  static Bytes body(
      const Op& op, const std::vector<LentValue>& inputs, const std::vector<LentValue>& outputs) {
    LaunchBody body{static_cast<std::uint32_t>(Op::id), 0, 0, inputs, outputs};
    Op shown = op;
    return net::encode_fields([&](FieldVisitor& visit) {
      body.fields(visit);
      shown.fields(visit);
    });
  }
  /// The answer to a launch, which must be the only one.
  LentDone launch(Bytes bytes) {
    answers.done.clear();
    loan.send(LaunchLent{77, std::move(bytes)});
    run();
    REQUIRE(answers.done.size() == 1);
    CHECK(answers.done[0].call == 77);
    return answers.done[0];
  }
  std::vector<float> read(std::uint64_t number, const Shape& shape) {
    answers.done.clear();
    answers.pieces.clear();
    loan.send(ReadLent{5, value(number, shape)});
    run();
    REQUIRE(answers.done.size() == 1);
    REQUIRE_FALSE(answers.done[0].failed);
    std::vector<float> numbers;
    for (const LentPiece& piece : answers.pieces) {
      const std::size_t at = numbers.size();
      numbers.resize(at + piece.data.size() / sizeof(float));
      std::memcpy(numbers.data() + at, piece.data.span().data(), piece.data.size());
    }
    return numbers;
  }
  void run() { engine.system.run_ready(); }

  test::Engine engine;
  Answers answers;
  std::shared_ptr<DeviceHost::State> state = std::make_shared<DeviceHost::State>();
  std::shared_ptr<PeerUse> peer = std::make_shared<PeerUse>();
  BorrowerAddress borrower;
  LoanAddress loan;
  Address<Down> down;
};

void is_refused(const LentDone& done, ErrorCode code, std::string_view part) {
  CHECK(done.failed);
  CHECK(done.reason.code() == code);
  CAPTURE(done.reason.message());
  CHECK(done.reason.message().find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a loan computes with the numbers that it was given", "[cluster][device]") {
  Loan loan;
  loan.upload(1, {1, 2, 3, 4});
  loan.upload(2, {10, 20, 30, 40});
  CHECK_FALSE(
      loan.launch(
              Loan::body(Add{}, {Loan::value(1, {4}), Loan::value(2, {4})}, {Loan::value(3, {4})}))
          .failed);
  CHECK(loan.read(3, {4}) == std::vector<float>{11, 22, 33, 44});
  // A view: every second one of them, from the second on.
  LentValue second = Loan::value(3, {2});
  second.strides = {2};
  second.offset = 1;
  CHECK_FALSE(loan.launch(Loan::body(Neg{}, {second}, {Loan::value(4, {2})})).failed);
  CHECK(loan.read(4, {2}) == std::vector<float>{-22, -44});
  CHECK(loan.state->values == 4);
  loan.loan.send(FreeLent{{1, 2, 3, 4, 99}});
  loan.run();
  loan.answers.pieces.clear();
  CHECK(loan.state->values == 0);
  CHECK(loan.state->bytes == 0);
  CHECK(loan.peer->bytes == 0);
}

TEST_CASE("an op that does not fit is refused, whatever was asked for", "[cluster][device]") {
  Loan loan;
  loan.upload(1, {1, 2, 3, 4});
  loan.upload(2, {1, 2});
  const LentValue four = Loan::value(1, {4});
  const auto refused = [&](Bytes body, ErrorCode code, std::string_view part) {
    is_refused(loan.launch(std::move(body)), code, part);
  };
  SECTION("of another shape than the rule gives") {
    refused(
        Loan::body(Add{}, {four, four}, {Loan::value(3, {5})}),
        ErrorCode::shape_mismatch,
        "it makes float32[4], and float32[5] was asked for");
  }
  SECTION("of another dtype") {
    refused(
        Loan::body(Add{}, {four, four}, {Loan::value(3, {4}, DType::int32)}),
        ErrorCode::shape_mismatch,
        "int32[4] was asked for");
  }
  SECTION("with inputs that do not go together") {
    refused(
        Loan::body(Add{}, {four, Loan::value(1, {4}, DType::int32)}, {Loan::value(3, {4})}),
        ErrorCode::dtype_mismatch,
        "does not compute in");
    refused(
        Loan::body(Matmul{}, {four, Loan::value(2, {2})}, {Loan::value(3, {})}),
        ErrorCode::shape_mismatch,
        "");
    // Rules that only vjps meet: an op that would take one for another, and write beyond it.
    MaxPool2dBackward pooling;
    pooling.kernel_size = pooling.stride = {2, 2};
    pooling.padding = {0, 0};
    pooling.dilation = {1, 1};
    pooling.input_shape = {1, 2, 4};
    const auto pooled = [&](DType dy, DType places) {
      return Loan::body(
          pooling,
          {Loan::value(1, {1, 1, 2}, dy), Loan::value(1, {1, 1, 2}, places)},
          {Loan::value(3, {1, 2, 4}, dy)});
    };
    refused(pooled(DType::uint8, DType::uint8), ErrorCode::dtype_mismatch, "does not take uint8");
    refused(
        pooled(DType::float32, DType::boolean), ErrorCode::dtype_mismatch, "does not take bool");
    for (const DType dy : {DType::float32, DType::bfloat16}) {
      CHECK_FALSE(loan.launch(pooled(dy, DType::uint8)).failed);
      loan.loan.send(FreeLent{{3}});
      loan.run();
    }
  }
  SECTION("laid out as only a device's own compiler may ask for") {
    MaxPool2dValues pooling;
    pooling.kernel_size = pooling.stride = {1, 1};
    pooling.padding = {0, 0};
    pooling.dilation = {1, 1};
    const auto pooled = [&] {
      return Loan::body(pooling, {Loan::value(1, {1, 1, 2, 2})}, {Loan::value(3, {1, 1, 2, 2})});
    };
    CHECK_FALSE(loan.launch(pooled()).failed);
    loan.loan.send(FreeLent{{3}});
    loan.run();
    pooling.channels_last = true;
    refused(pooled(), ErrorCode::unsupported, "own programs only");
  }
  SECTION("with too few or too many of anything") {
    refused(
        Loan::body(Add{}, {four}, {Loan::value(3, {4})}),
        ErrorCode::invalid_argument,
        "1 inputs were given");
    refused(
        Loan::body(Sum{}, {}, {Loan::value(3, {})}),
        ErrorCode::invalid_argument,
        "0 inputs were given");
    // No elementwise op, and run by their loops, which have room for three inputs.
    refused(
        Loan::body(Cast{}, {four, four, four, four}, {Loan::value(3, {4})}),
        ErrorCode::invalid_argument,
        "4 inputs were given");
    refused(
        Loan::body(Add{}, {four, four}, {}),
        ErrorCode::invalid_argument,
        "it makes 1 values, and 0 were asked for");
    refused(
        Loan::body(MaxPool2d{}, {four}, {Loan::value(3, {4}), Loan::value(3, {4})}),
        ErrorCode::shape_mismatch,
        "");
  }
  SECTION("of numbers that nobody has") {
    refused(
        Loan::body(Add{}, {four, Loan::value(9, {4})}, {Loan::value(3, {4})}),
        ErrorCode::invalid_argument,
        "value 9 is not held here");
  }
  SECTION("into memory of another size") {
    refused(
        Loan::body(Add{}, {four, four}, {Loan::value(2, {4})}),
        ErrorCode::invalid_argument,
        "value 2 cannot take float32[4]");
  }
  SECTION("into less than all of it") {
    LentValue inside = Loan::value(3, {4});
    inside.offset = 1;
    refused(
        Loan::body(Add{}, {four, four}, {inside}),
        ErrorCode::invalid_argument,
        "must be contiguous");
  }
  SECTION("with views that leave their memory") {
    const auto view = [&](const Shape& shape, const Dims& strides, std::int64_t offset) {
      return Loan::body(
          Neg{}, {LentValue{1, {DType::float32, shape}, strides, offset}}, {Loan::value(3, shape)});
    };
    const std::int64_t far = std::int64_t{1} << 62;
    refused(view({5}, {1}, 0), ErrorCode::invalid_argument, "does not lie in 16 bytes");
    refused(view({4}, {1}, 1), ErrorCode::invalid_argument, "does not lie in");
    refused(view({4}, {2}, 0), ErrorCode::invalid_argument, "does not lie in");
    refused(view({2}, {far}, 0), ErrorCode::invalid_argument, "does not lie in");
    refused(view({2, 2}, {far, far}, 0), ErrorCode::invalid_argument, "does not lie in");
    refused(view({2}, {-1}, 1), ErrorCode::invalid_argument, "does not lie in");
    refused(view({2}, {1}, -1), ErrorCode::invalid_argument, "does not lie in");
    refused(view({2}, {}, 0), ErrorCode::invalid_argument, "does not lie in");
    refused(view({-2}, {1}, 0), ErrorCode::invalid_argument, "");
    refused(view({far, far}, {0, 0}, 0), ErrorCode::invalid_argument, "");
    refused(view({far / 8}, {0}, 0), ErrorCode::overload, "more than may be had here");
  }
  SECTION("of a dtype that is none") {
    refused(
        Loan::body(Neg{}, {Loan::value(1, {4}, static_cast<DType>(77))}, {Loan::value(3, {4})}),
        ErrorCode::invalid_argument,
        "there is no dtype 77");
  }
  SECTION("of an op that is none, or none of a device's") {
    LaunchBody body{424'242, 0, 0, {four}, {Loan::value(3, {4})}};
    refused(
        net::encode_fields([&](FieldVisitor& visit) { body.fields(visit); }),
        ErrorCode::unsupported,
        "there is no op 424242");
    refused(
        Loan::body(Reshape{}, {four}, {Loan::value(3, {4})}),
        ErrorCode::unsupported,
        "not launched on a device");
    refused(
        Loan::body(ToDevice{}, {four}, {Loan::value(3, {4})}),
        ErrorCode::unsupported,
        "not launched on a device");
  }
  SECTION("that is cut off, or goes on") {
    const Bytes whole = Loan::body(Add{}, {four, four}, {Loan::value(3, {4})});
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const LentDone done = loan.launch(Bytes::copy_of(whole.span().first(size)));
      CHECK(done.failed);
    }
    std::vector<std::byte> more(whole.span().begin(), whole.span().end());
    more.push_back(std::byte{0});
    refused(Bytes::copy_of(more), ErrorCode::wire_corrupt, "1 bytes too many");
  }
  // It goes on all the same, and nothing was left behind.
  CHECK(loan.state->values == 2);
  CHECK_FALSE(loan.launch(Loan::body(Add{}, {four, four}, {Loan::value(3, {4})})).failed);
  CHECK(loan.read(3, {4}) == std::vector<float>{2, 4, 6, 8});
}

// Goal: no bytes make a loan do anything but answer. Method: launches of every op, with bytes
// changed by chance, run under whatever the build checks.
TEST_CASE("whatever bytes come, a loan answers", "[cluster][device]") {
  const auto seed = GENERATE(take(20, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Loan loan;
  loan.upload(1, std::vector<float>(64, 0.5f));
  std::size_t done = 0;
  for (const OpInfo* info : all_ops())
    for (int round = 0; round < 6; ++round) {
      LaunchBody body;
      body.op = static_cast<std::uint32_t>(info->id);
      const Shape shapes[] = {{4}, {2, 2}, {1, 1, 4, 4}, {}, {0, 3}};
      for (std::uint64_t i = random() % 5; i > 0; --i)
        body.inputs.push_back(Loan::value(
            1,
            shapes[random() % 5],
            random() % 3 ? DType::float32 : static_cast<DType>(random() % 9)));
      for (std::uint64_t i = random() % 3; i > 0; --i)
        body.outputs.push_back(Loan::value(100 + random() % 50, shapes[random() % 5]));
      const OpRef op = numbered_op(loan.engine.system, info->id);
      const auto show_body = [&](FieldVisitor& visit) { body.fields(visit); };
      const std::size_t head = net::encode_fields(show_body).size();
      const Bytes whole = net::encode_fields([&](FieldVisitor& visit) {
        show_body(visit);
        set_attributes(*op, visit);
      });
      std::vector<std::byte> bytes(whole.span().begin(), whole.span().end());
      const std::int64_t special[] = {0, 1, 2, 3, -1, 255, 1 << 20, std::int64_t{1} << 62};
      for (std::uint64_t i = random() % 4; i > 0 && bytes.size() >= head + 8; --i)
        std::memcpy(
            bytes.data() + head + random() % (bytes.size() - head - 7), &special[random() % 8], 8);
      for (std::uint64_t i = random() % 2; i > 0; --i)
        bytes[random() % bytes.size()] = static_cast<std::byte>(random());
      (void)loan.launch(Bytes::copy_of(bytes));
      ++done;
    }
  CHECK(done == 6 * all_ops().size());
  CHECK(loan.read(1, {64}).size() == 64);
}

TEST_CASE("a peer takes no more than its quota", "[cluster][device]") {
  Loan loan(4096);
  loan.upload(1, std::vector<float>(512, 1));  // 2 KiB
  const LentValue half = Loan::value(1, {512});
  CHECK_FALSE(loan.launch(Loan::body(Neg{}, {half}, {Loan::value(2, {512})})).failed);
  is_refused(
      loan.launch(Loan::body(Neg{}, {half}, {Loan::value(3, {512})})),
      ErrorCode::overload,
      "it may have 4096 bytes");
  // Elements on their way back may come to as much again, until they are there.
  loan.answers.done.clear();
  for (std::uint64_t call = 0; call < 3; ++call) loan.loan.send(ReadLent{call, half});
  loan.run();
  REQUIRE(loan.answers.done.size() == 3);
  CHECK_FALSE(loan.answers.done[1].failed);
  is_refused(
      loan.answers.done[2], ErrorCode::overload, "4096 bytes that the peer has on their way");
  CHECK(loan.read(1, {512}).size() == 512);
  loan.loan.send(FreeLent{{2}});
  CHECK_FALSE(loan.launch(Loan::body(Neg{}, {half}, {Loan::value(3, {512})})).failed);
  // In the place of what there is: that is not more.
  CHECK_FALSE(loan.launch(Loan::body(Neg{}, {half}, {Loan::value(3, {512})})).failed);
  // What comes without an answer is told to who uses it.
  loan.upload(4, std::vector<float>(512, 1));
  is_refused(
      loan.launch(Loan::body(Neg{}, {Loan::value(4, {512})}, {Loan::value(1, {512})})),
      ErrorCode::overload,
      "it may have");
  loan.loan.send(UploadLent{5, ~std::uint64_t{0}, 0, {}});
  loan.run();
  CHECK(loan.state->refusals == 5);
}

TEST_CASE("pieces that do not follow each other are refused", "[cluster][device]") {
  Loan loan;
  const std::vector<float> numbers{1, 2, 3, 4};
  const auto bytes = std::as_bytes(std::span(numbers));
  const auto piece = [&](std::uint64_t number, std::size_t at, std::size_t size) {
    loan.loan.send(UploadLent{number, 16, at, Bytes::copy_of(bytes.subspan(at, size))});
  };
  piece(1, 0, 8);
  piece(1, 8, 8);
  CHECK(loan.read(1, {4}) == numbers);
  const LentValue all = Loan::value(2, {4});
  piece(2, 0, 8);
  is_refused(
      loan.launch(Loan::body(Neg{}, {all}, {Loan::value(9, {4})})),
      ErrorCode::invalid_argument,
      "has no elements yet");
  piece(2, 4, 8);
  is_refused(
      loan.launch(Loan::body(Neg{}, {all}, {Loan::value(9, {4})})),
      ErrorCode::invalid_argument,
      "do not follow the 8 there are");
}

TEST_CASE("a loan ends with its borrower, and frees all", "[cluster][device]") {
  Loan loan;
  loan.upload(1, {1, 2});
  loan.run();
  CHECK(loan.state->loans == 1);
  loan.down.send(Down{});
  loan.run();
  CHECK(loan.state->loans == 0);
  CHECK(loan.state->values == 0);
  CHECK(loan.state->bytes == 0);
}

}  // namespace troupe::testing
