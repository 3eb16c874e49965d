#include "segment.hpp"

#include "encoder.hpp"
#include "machine.hpp"

#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/clamp.hpp>
#include <troupe/tensor/ops/cos.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/erf.hpp>
#include <troupe/tensor/ops/exp.hpp>
#include <troupe/tensor/ops/fmod.hpp>
#include <troupe/tensor/ops/gelu.hpp>
#include <troupe/tensor/ops/gt.hpp>
#include <troupe/tensor/ops/leaky_relu.hpp>
#include <troupe/tensor/ops/lerp.hpp>
#include <troupe/tensor/ops/logical_and.hpp>
#include <troupe/tensor/ops/logical_not.hpp>
#include <troupe/tensor/ops/logical_xor.hpp>
#include <troupe/tensor/ops/lt.hpp>
#include <troupe/tensor/ops/maximum.hpp>
#include <troupe/tensor/ops/minimum.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/ne.hpp>
#include <troupe/tensor/ops/neg.hpp>
#include <troupe/tensor/ops/pow.hpp>
#include <troupe/tensor/ops/relu.hpp>
#include <troupe/tensor/ops/remainder.hpp>
#include <troupe/tensor/ops/sigmoid.hpp>
#include <troupe/tensor/ops/silu.hpp>
#include <troupe/tensor/ops/sin.hpp>
#include <troupe/tensor/ops/square.hpp>
#include <troupe/tensor/ops/sub.hpp>
#include <troupe/tensor/ops/tanh.hpp>
#include <troupe/tensor/ops/where.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <vector>

// Goal: a chain that one dispatch computes has the bits of its ops launched one by one. Method:
// chains built by hand, over every way in which inputs may lie, both ways of binding, with the
// validation layer listening.
namespace troupe::vulkan {
namespace {

using test::Machine;

Options binding(bool descriptors) {
  Options options = test::vulkan_options();
  options.descriptors = descriptors;
  options.validation = true;
  return options;
}

/// Which of two NaNs a sum takes its bits from is the driver's to say.
bool both_nan(DType dtype, const std::byte* a, const std::byte* b) {
  const auto nan = [&]<class T>(T number, const std::byte* at) {
    std::memcpy(&number, at, sizeof number);
    return std::isnan(number);
  };
  if (dtype == DType::float32) return nan(0.0f, a) && nan(0.0f, b);
  return dtype == DType::float64 && nan(0.0, a) && nan(0.0, b);
}

/// A segment with its inputs, while it is built.
class Chain {
 public:
  explicit Chain(Machine& machine) : machine_(machine) {}

  std::uint16_t input(Value value) {
    values_.push_back(std::move(value));
    return segment_.inputs++;
  }
  /// Numbers of both signs, every eleventh of them special where they float.
  std::uint16_t input(DType dtype, const Shape& shape) { return input(numbers(dtype, shape)); }

  template <class Op>
  std::uint16_t then(const Op& op, std::initializer_list<int> from) {
    Segment::Step step;
    step.op = make_op(op);
    std::size_t i = 0;
    for (const int number : from) step.from[i++] = static_cast<std::uint16_t>(number);
    arities_.push_back(i);
    segment_.steps.push_back(std::move(step));
    return static_cast<std::uint16_t>(segment_.inputs + segment_.steps.size() - 1);
  }
  void give(std::initializer_list<std::uint16_t> outputs) { segment_.outputs = outputs; }

  [[nodiscard]] Value numbers(DType dtype, const Shape& shape) {
    const Meta meta{dtype, shape};
    std::vector<std::byte> bytes(meta.bytes());
    const auto count = static_cast<std::size_t>(meta.elements());
    const auto put = [&]<class T>(std::size_t i, T x) {
      std::memcpy(bytes.data() + i * sizeof(T), &x, sizeof(T));
    };
    constexpr float infinity = std::numeric_limits<float>::infinity();
    constexpr float specials[] = {infinity, -infinity, std::nanf(""), -0.0f, 0.0f, 1e30f};
    for (std::size_t i = 0; i < count; ++i) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      const auto number = static_cast<std::int32_t>(state_ >> 40) % 2'000 - 1'000;
      const float real = i % 11 == 7 ? specials[i / 11 % 6] : static_cast<float>(number) / 250;
      if (dtype == DType::float32) put(i, real);
      if (dtype == DType::float64) put(i, static_cast<double>(real) / 3);
      if (dtype == DType::int32) put(i, number % 40);
      if (dtype == DType::int64) put(i, std::int64_t{number} << 20);
      if (dtype == DType::uint8) put(i, static_cast<std::uint8_t>(number));
      if (dtype == DType::boolean) put(i, static_cast<std::uint8_t>(number & 1));
    }
    return machine_.gpu.upload(meta, bytes);
  }

  /// Dispatches that the segment took; CHECKs its results.
  std::uint64_t check() {
    std::vector<Value> all = values_;
    for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
      const Segment::Step& step = segment_.steps[i];
      Value inputs[3];
      Meta metas[3];
      for (std::size_t k = 0; k < arities_[i]; ++k) {
        inputs[k] = all[step.from[k]];
        metas[k] = inputs[k]->meta();
      }
      Metas inferred;
      step.op->info().infer(step.op->attributes(), {metas, arities_[i]}, inferred);
      const Value output = empty(inferred[0]);
      (void)machine_.gpu.launch(Launch{step.op.get(), {inputs, arities_[i]}, {&output, 1}, 0, 0});
      all.push_back(output);
    }
    std::vector<Value> want, got;
    std::vector<std::uint16_t> outputs = segment_.outputs;
    if (outputs.empty()) outputs.push_back(static_cast<std::uint16_t>(all.size() - 1));
    for (const std::uint16_t number : outputs) {
      want.push_back(all[number]);
      got.push_back(empty(all[number]->meta()));
    }
    std::vector<std::vector<std::byte>> bytes;
    for (const Value& value : want) bytes.push_back(downloaded(value));

    const std::uint64_t before = machine_.counts().dispatches;
    encode(got);
    for (std::size_t k = 0; k < got.size(); ++k) {
      CAPTURE(k);
      const std::vector<std::byte> own = downloaded(got[k]);
      const auto width = static_cast<std::size_t>(size_of(got[k]->dtype()));
      std::size_t differ = 0, first = 0;
      for (std::size_t i = own.size() / width; i-- > 0;)
        if (std::memcmp(own.data() + i * width, bytes[k].data() + i * width, width) != 0 &&
            !both_nan(got[k]->dtype(), own.data() + i * width, bytes[k].data() + i * width)) {
          ++differ;
          first = i;
        }
      CAPTURE(first);
      CHECK(differ == 0);
    }
    CHECK(machine_.counts().validation_messages == 0);
    return machine_.counts().dispatches - before;
  }

  void encode(const std::vector<Value>& outputs) {
    const Launch launch{segment_.steps[0].op.get(), values_, outputs, 0, 0};
    Encoder encoder(machine_.gpu, launch, machine_.gpu.queue());
    encode_segment(encoder, segment_, values_, outputs);
  }
  [[nodiscard]] Value empty(const Meta& meta) {
    return ValueBody::make(meta, machine_.gpu.allocate(meta.bytes()));
  }

 private:
  [[nodiscard]] std::vector<std::byte> downloaded(const Value& value) {
    std::vector<std::byte> bytes(value->meta().bytes());
    machine_.gpu.download(value, bytes);
    return bytes;
  }

  Machine& machine_;
  Segment segment_;
  std::vector<Value> values_;
  std::vector<std::size_t> arities_;
  std::uint64_t state_ = 1;
};

constexpr DType f32 = DType::float32;

}  // namespace

TEST_CASE("a chain has its ops' bits in one dispatch", "[vulkan]") {
  Machine machine(binding(GENERATE(false, true)));
  const std::int64_t columns = GENERATE(64, 37);  // by fours, and one by one
  CAPTURE(machine.gpu.context().options.descriptors, columns);
  const Shape shape{29, columns};
  Chain chain(machine);

  SECTION("bias and gelu") {
    const auto x = chain.input(f32, shape);
    const auto bias = chain.input(f32, Shape{columns});
    chain.then(Gelu{}, {chain.then(Add{}, {x, bias})});
    CHECK(chain.check() == 1);
  }
  SECTION("silu times x") {
    const auto x = chain.input(f32, shape);
    const auto y = chain.input(f32, shape);
    chain.then(Mul{}, {chain.then(Silu{}, {x}), y});
    CHECK(chain.check() == 1);
  }
  SECTION("a residual, scaled and clamped") {
    const auto x = chain.input(f32, shape);
    const auto residual = chain.input(f32, shape);
    const auto scale = chain.input(f32, Shape{});
    Clamp clamp;
    clamp.min = -0.5;
    clamp.max = 2.25;
    chain.then(clamp, {chain.then(Add{}, {chain.then(Mul{}, {x, scale}), residual})});
    CHECK(chain.check() == 1);
  }
  SECTION("products and sums that must not become one rounding") {
    const auto x = chain.input(f32, shape);
    const auto y = chain.input(f32, shape);
    const auto z = chain.input(f32, shape);
    const auto product = chain.then(Mul{}, {x, y});
    const auto sum = chain.then(Add{}, {product, z});
    const auto difference = chain.then(Sub{}, {z, product});
    chain.then(Lerp{}, {sum, difference, x});
    CHECK(chain.check() == 1);
  }
  SECTION("conditions") {
    const auto x = chain.input(f32, shape);
    const auto y = chain.input(f32, Shape{columns});
    const auto mask = chain.input(DType::boolean, shape);
    const auto greater = chain.then(Gt{}, {x, y});
    const auto both = chain.then(LogicalAnd{}, {greater, mask});
    const auto chosen = chain.then(Choose{}, {both, x, y});
    chain.then(Choose{}, {chain.then(LogicalNot{}, {mask}), chosen, chain.then(Exp{}, {x})});
    CHECK(chain.check() == 1);
  }
  SECTION("integers") {
    const DType dtype = GENERATE(DType::int32, DType::int64, DType::uint8);
    const auto x = chain.input(dtype, shape);
    const auto y = chain.input(dtype, shape);
    const auto sum = chain.then(Add{}, {chain.then(Mul{}, {x, x}), y});
    const auto rest = chain.then(Remainder{}, {sum, y});
    chain.then(Maximum{}, {chain.then(Fmod{}, {rest, x}), chain.then(Minimum{}, {x, y})});
    CHECK(chain.check() == 1);
  }
  SECTION("bool and uint8 beside each other") {
    const auto x = chain.input(DType::boolean, shape);
    const auto y = chain.input(DType::boolean, shape);
    const auto n = chain.input(DType::uint8, shape);
    const auto power = chain.then(Pow{}, {n, n});
    const auto either = chain.then(Maximum{}, {chain.then(Pow{}, {x, y}), x});
    const auto odd = chain.then(LogicalXor{}, {either, chain.then(Lt{}, {power, n})});
    chain.give({chain.then(Choose{}, {odd, power, n}), chain.then(Ne{}, {odd, y})});
    CHECK(chain.check() == 1);
  }
  SECTION("several dtypes at once") {
    const auto x = chain.input(f32, shape);
    const auto d = chain.input(DType::float64, shape);
    const auto n = chain.input(DType::int64, shape);
    const auto a = chain.then(Gt{}, {chain.then(Square{}, {d}), d});
    const auto b = chain.then(Lt{}, {chain.then(Neg{}, {n}), n});
    const auto both = chain.then(LogicalAnd{}, {a, b});
    chain.give(
        {chain.then(Choose{}, {both, x, chain.then(Tanh{}, {x})}),
         chain.then(Choose{}, {both, d, chain.then(Fmod{}, {d, d})})});
    CHECK(chain.check() == 1);
  }
  SECTION("two outputs, one of them on the way to the other") {
    const auto x = chain.input(f32, shape);
    const auto y = chain.input(f32, shape);
    const auto sum = chain.then(Add{}, {x, y});
    chain.give({chain.then(Sigmoid{}, {sum}), sum});
    CHECK(chain.check() == 1);
  }
  SECTION("a column and a row against a matrix") {
    const auto x = chain.input(f32, shape);
    const auto row = chain.input(f32, Shape{columns});
    const auto column = chain.input(f32, Shape{29, 1});
    const auto moved = chain.then(Sub{}, {x, column});
    chain.then(Mul{}, {moved, chain.then(Square{}, {row})});
    CHECK(chain.check() == 1);
  }
  SECTION("a column and a row alone") {
    const auto row = chain.input(f32, Shape{columns});
    const auto column = chain.input(f32, Shape{29, 1});
    chain.then(Relu{}, {chain.then(Mul{}, {row, column})});
    CHECK(chain.check() == 1);
  }
  SECTION("inputs with strides") {
    const Value turned = chain.numbers(f32, Shape{columns, 29});
    const Value wide = chain.numbers(f32, Shape{29, 2 * columns + 4});
    const auto a = chain.input(ValueBody::view(turned, {f32, shape}, Dims{1, 29}, 0));
    const auto b = chain.input(ValueBody::view(wide, {f32, shape}, Dims{2 * columns + 4, 1}, 3));
    const auto c = chain.input(ValueBody::view(wide, {f32, shape}, Dims{2 * columns + 4, 1}, 4));
    const auto d = chain.input(ValueBody::view(wide, {f32, shape}, Dims{2 * columns + 4, 2}, 0));
    const auto sums = chain.then(Add{}, {chain.then(Mul{}, {a, b}), chain.then(Mul{}, {c, d})});
    chain.then(Tanh{}, {sums});
    CHECK(chain.check() == 1);
  }
  SECTION("thirty ops") {
    const auto x = chain.input(f32, shape);
    const auto y = chain.input(f32, Shape{columns});
    auto at = x;
    LeakyRelu leaky;
    for (int round = 0; round < 5; ++round) {
      at = chain.then(Add{}, {chain.then(Mul{}, {at, y}), x});
      at = chain.then(Sin{}, {chain.then(leaky, {at})});
      at = chain.then(Erf{}, {chain.then(Sub{}, {at, y})});
    }
    CHECK(chain.check() == 1);
  }
  SECTION("as many inputs as there are bindings") {
    auto at = chain.input(f32, shape);
    for (std::size_t k = 1; k + 1 < bindings_max; ++k) (void)chain.input(f32, shape);
    for (std::uint16_t k = 1; k + 1u < bindings_max; ++k) at = chain.then(Add{}, {at, k});
    CHECK(chain.check() == 1);
  }
}

TEST_CASE("inputs that repeat along too many axes are written out", "[vulkan]") {
  Machine machine(binding(GENERATE(false, true)));
  Chain chain(machine);
  auto at = chain.input(f32, Shape{3, 4, 2, 5, 8});
  const auto a = chain.input(f32, Shape{3, 1, 2, 1, 8});
  const auto b = chain.input(f32, Shape{4, 1, 5, 1});
  const auto c = chain.input(f32, Shape{3, 1, 1, 5, 1});
  const auto d = chain.input(f32, Shape{2, 1, 8});
  const auto e = chain.input(f32, Shape{3, 4, 1, 1, 1});
  for (const auto k : {a, b, c, d, e}) at = chain.then(Add{}, {at, k});
  CHECK(chain.check() > 1);
}

TEST_CASE("a segment's shader is found again by what it computes", "[vulkan]") {
  Options options = binding(false);
  options.cache_folder.clear();
  Machine machine(options);
  const auto compiled = [&](double slope, std::int64_t n, bool swapped) {
    Chain chain(machine);
    const auto x = chain.input(f32, Shape{n});
    const auto y = chain.input(f32, Shape{n});
    LeakyRelu leaky;
    leaky.negative_slope = slope;
    const auto difference = swapped ? chain.then(Sub{}, {y, x}) : chain.then(Sub{}, {x, y});
    chain.then(leaky, {difference});
    const std::uint64_t before = machine.counts().shaders_compiled;
    chain.encode({chain.empty({f32, Shape{n}})});
    return machine.counts().shaders_compiled - before;
  };
  CHECK(compiled(0.5, 8, false) == 1);
  CHECK(compiled(0.5, 16, false) == 0);
  CHECK(compiled(0.25, 8, false) == 1);
  CHECK(compiled(0.5, 8, true) == 1);
  CHECK(compiled(0.5, 7, false) == 1);  // not by four
  CHECK(compiled(0.25, 8, false) == 0);
}

TEST_CASE("a segment whose parts do not fit is refused", "[vulkan]") {
  Machine machine;
  Chain chain(machine);
  const auto x = chain.input(f32, Shape{4});
  const auto n = chain.input(DType::int32, Shape{4});
  const Value out = chain.empty({f32, Shape{4}});
  const auto code = [&](const std::vector<Value>& outputs) {
    return test::thrown_by([&] {
             chain.encode(outputs);
             return 0;
           })
        .code();
  };
  SECTION("two dtypes in a step") {
    chain.then(Add{}, {n, x});
    CHECK(code({out}) == ErrorCode::internal);
  }
  SECTION("a step before what it reads") {
    chain.then(Neg{}, {5});
    CHECK(code({out}) == ErrorCode::internal);
  }
  SECTION("an output of another dtype") {
    chain.then(Neg{}, {x});
    CHECK(code({chain.empty({DType::int32, Shape{4}})}) == ErrorCode::internal);
  }
  SECTION("more outputs than results") {
    chain.then(Neg{}, {x});
    CHECK(code({out, out}) == ErrorCode::internal);
  }
}

}  // namespace troupe::vulkan
