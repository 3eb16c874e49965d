#include "trials.hpp"

#include "machine.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/linear.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/permute.hpp>
#include <troupe/tensor/ops/uniform.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

// Goal: trials on a device find what is fast, let nothing win that is wrong or has other bits, and
// nobody notices but by the time. Method: launches that are made to be fast, slow or wrong; then
// the kernels themselves, tuned and not.
namespace troupe::vulkan {
namespace {

using test::Machine;

Options tuned(Tuning tuning = Tuning::deterministic, bool gpu_kernels = false) {
  Options options = test::vulkan_options();
  options.tuning = tuning;
  options.gpu_kernels = options.gpu_kernels || gpu_kernels;
  options.cache_folder.clear();
  return options;
}

void settle(Machine& machine) {
  machine.system.wait_until([&] { return machine.gpu.tuner().settled(); }, "trials");
}

constexpr Tile reference{64, 1, 1, 1};
constexpr Tile fast{64, 2, 1, 1};
constexpr Tile wrong{64, 3, 1, 1};
constexpr Tile slow{64, 4, 1, 1};
constexpr Tile failing{64, 5, 1, 1};

/// Copies its left operand, some again and again.
struct Copying final : TiledLaunch {
  Copying(Encoder& made, std::vector<Tile> offered) : encoder(made), tiles(std::move(offered)) {}
  [[nodiscard]] std::vector<Tile> candidates(bool) const override { return tiles; }
  void encode(const Tile& tile, const TiledOperands& operands) override {
    if (tile == failing) throw Error(ErrorCode::unsupported, "this does not compile");
    const std::int64_t n = operands.out->meta().elements();
    for (int again = 0; again < (tile == reference || tile == slow ? 40 : 1); ++again)
      encoder.copy_bytes(operands.left, 0, operands.out, 0, n);
    if (tile == wrong) encoder.copy_bytes(operands.left, n / 2, operands.out, n - 1, 1);
    encoded = tile;
  }

  Encoder& encoder;
  std::vector<Tile> tiles;
  Tile encoded;  // last
};

/// A launch of that, on a device of its own.
struct Copied {
  explicit Copied(Tuning tuning) : machine(tuned(tuning)) {}

  /// Launches until all has been tried; what the next launch gets. Every result is looked at.
  Tile tune(const std::vector<Tile>& candidates, std::uint64_t depth = 1) {
    const Tensor x = uniform({1 << 16}, -1, 1);
    const Value in = x.value();
    const std::vector<float> expected = x.to_vector<float>();
    const OpRef op = make_op(Uniform{});  // names it in errors
    TileKey key;
    key.shader = find_shader("copy", "4");
    key.reference = reference;
    std::size_t off = 0;
    Tile last;
    for (std::size_t launches = 0; launches <= candidates.size(); ++launches) {
      const Value out = ValueBody::make(in->meta(), machine.gpu.allocate(in->meta().bytes()));
      const Launch launch{op.get(), {&in, 1}, {&out, 1}, 0, 0};
      Encoder encoder(machine.gpu, launch, machine.gpu.queue());
      Copying copying(encoder, candidates);
      encode_tiled(encoder, key, copying, {in, in, Value(), out}, depth, 1 << 30);
      if (launches < candidates.size())
        off += Tensor::constant(out).to_vector<float>() == expected ? 0 : 1;
      if (launches + 1 == candidates.size()) settle(machine);
      last = copying.encoded;
    }
    CHECK(off == 0);
    CHECK(machine.counts().tile_trials == candidates.size());
    CHECK(machine.counts().validation_messages == 0);
    return last;
  }

  Machine machine;
};

Tensor numbers(const Shape& shape, DType dtype, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> even(-1, 1);
  std::vector<double> all(static_cast<std::size_t>(elements_in(shape)));
  for (double& x : all) x = even(random);
  return cast(Tensor::copy_of<double>(all, shape), dtype);
}

/// What products and convolutions give, of sizes that tiles do not divide, in all layouts; or in
/// few, for tiles that take a processor's driver long to compile.
std::vector<std::vector<double>> results(DType dtype, bool few) {
  std::vector<std::vector<double>> all;
  const auto note = [&](const Tensor& result) {
    all.push_back(cast(result, DType::float64).to_vector<double>());
  };
  // Few rows, columns or steps; tiles and a rest; few sums of many, which are cut into slices.
  std::vector<std::tuple<int, int, int>> sizes{
      {1, 5, 30}, {33, 65, 67}, {70, 9, 600}, {129, 130, 19}, {130, 132, 70}, {70, 140, 2050}};
  std::vector<int> turns{0, 1, 2, 3};
  if (few) {
    sizes = {{129, 130, 70}, {70, 140, 2050}};
    turns = {0, 3};
  }
  for (const auto& [m, n, k] : sizes) {
    for (const int turned : turns) {
      const Tensor a = numbers(turned & 1 ? Shape{k, m} : Shape{m, k}, dtype, 1);
      const Tensor b = numbers(turned & 2 ? Shape{n, k} : Shape{k, n}, dtype, 2);
      note(matmul(turned & 1 ? t(a) : a, turned & 2 ? t(b) : b));
    }
    const Tensor x = numbers({2, m, k}, dtype, 3);
    note(linear(x, numbers({n, k}, dtype, 4), numbers({n}, dtype, 5)));
    note(matmul(x, numbers({2, k, n}, dtype, 6)));
  }
  struct Case {
    Shape x, w;
    Conv2d op;
  };
  std::vector<Case> cases{
      {{5, 16, 13, 13}, {40, 16, 3, 3}, {}},
      {{3, 5, 9, 11}, {7, 5, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 1}},
      {{3, 6, 9, 11}, {9, 2, 3, 2}, {{}, {2, 3}, {2, 1}, {1, 2}, 3}},
      {{2, 70, 7, 7}, {66, 70, 1, 1}, {}},
      {{8, 2, 20, 20}, {3, 2, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 1}}};
  if (few) cases = {cases[2], cases[3]};
  for (const auto& [x_shape, w_shape, op] : cases) {
    const Tensor x = numbers(x_shape, dtype, 1);
    const Tensor w = numbers(w_shape, dtype, 2);
    note(apply(op, x, w, numbers({w_shape[0]}, dtype, 3)));
    const Tensor dy = numbers(
        {x_shape[0], w_shape[0], op.places(x_shape, w_shape, 0), op.places(x_shape, w_shape, 1)},
        dtype,
        4);
    note(apply(
        Conv2dBackwardInput{{}, op.stride, op.padding, op.dilation, op.groups, x_shape}, dy, w));
    note(apply(
        Conv2dBackwardWeight{{}, op.stride, op.padding, op.dilation, op.groups, w_shape}, dy, x));
  }
  return all;
}

}  // namespace

TEST_CASE("a candidate that is faster and has the same bits wins", "[vulkan]") {
  Copied copied(Tuning::deterministic);
  CHECK(copied.tune({slow, fast}) == fast);
  CHECK(copied.machine.counts().tile_rejections == 0);
  CHECK(copied.machine.counts().tiles_tuned == 1);
  CHECK(copied.machine.gpu.tuner().version() == 1);
}

TEST_CASE("a candidate that is wrong or fails loses, however fast it is", "[vulkan]") {
  const Tuning tuning = GENERATE(Tuning::deterministic, Tuning::free);
  Copied copied(tuning);
  CHECK(copied.tune({wrong, failing}) == reference);
  CHECK(copied.machine.counts().tile_rejections == 2);
}

TEST_CASE("a candidate with other bits wins only where tuning is free", "[vulkan]") {
  constexpr std::uint64_t depth = 100'000'000;  // sums so long that anything is near enough
  Copied strict(Tuning::deterministic);
  CHECK(strict.tune({wrong}, depth) == reference);
  CHECK(strict.machine.counts().tile_rejections == 1);
  Copied free(Tuning::free);
  CHECK(free.tune({wrong, failing, slow}, depth) == wrong);
  CHECK(free.machine.counts().tile_rejections == 1);
}

TEST_CASE("nothing is tried where memory is short", "[vulkan]") {
  Options options = tuned();
  options.memory_bytes_max = std::size_t{64} << 20;
  Machine machine(options);
  const Tensor x = numbers({2048, 1024}, DType::float32, 1);
  const Tensor w = numbers({512, 1024}, DType::float32, 2);
  for (int i = 0; i < 3; ++i) (void)linear(x, w).value();
  CHECK(machine.counts().tile_trials == 0);
  CHECK(machine.gpu.tuner().settled());
}

TEST_CASE("a software device tries nothing unless it is asked to", "[vulkan]") {
  if (!test::Machine().gpu.context().info.software) return;
  Machine machine(tuned(Tuning::automatic));
  const Tensor x = numbers({128, 128}, DType::float32, 1);
  (void)matmul(x, x).to_vector<float>();
  CHECK(machine.counts().tile_trials == 0);
  CHECK_FALSE(machine.gpu.tuner().on());
}

TEST_CASE("a trial on a lost device is a lost candidate, not an error", "[vulkan]") {
  Machine machine(tuned());
  const Value in = numbers({1 << 16}, DType::float32, 1).value();
  const Value out = ValueBody::make(in->meta(), machine.gpu.allocate(in->meta().bytes()));
  const OpRef op = make_op(Uniform{});
  const Launch launch{op.get(), {&in, 1}, {&out, 1}, 0, 0};
  Encoder encoder(machine.gpu, launch, machine.gpu.queue());
  Copying copying(encoder, {fast});
  TileKey key;
  key.shader = find_shader("copy", "4");
  key.reference = reference;
  CHECK(machine.gpu.tuner().choose(key, copying).open);
  TestAccess::lose(machine.gpu.queue());
  machine.gpu.trials().run(encoder, key, copying, {in, in, Value(), out}, 1);
  CHECK(machine.gpu.tuner().settled());
  CHECK(machine.counts().tile_rejections == 1);
}

// Goal: tuning has no say in results, and nobody waits for it. Method: the same launches tuned, by
// their own trials and by what these left on disk, and not tuned.
TEST_CASE("products have the same bits tuned or not, and nobody waits for trials", "[vulkan]") {
  const bool gpu_kernels = GENERATE(false, true);
  CAPTURE(gpu_kernels);
  const std::uint64_t kinds = gpu_kernels ? 1 : 2;  // one, for time
  sim::MemoryDisk disk;
  const auto run = [&](Tuning tuning, std::uint64_t& trials, std::uint64_t& recalled) {
    Options options = tuned(tuning, gpu_kernels);
    options.least_limits = gpu_kernels;  // fewer candidates, which take their time to compile
    options.cache_folder = "cache";
    Machine machine(options, {}, &disk);
    const Tensor x = numbers({128, 300}, DType::float32, 1);
    const Tensor w = numbers({130, 300}, DType::float32, 2);
    const Tensor few = numbers({300, 40}, DType::float32, 3);
    std::vector<Tensor> all;
    for (int launches = 0; launches < 14; ++launches) {
      all.push_back(linear(x, w));
      if (!gpu_kernels) all.push_back(matmul(few, t(few)));
      // Some before trials are through, some behind.
      if (launches >= 9) settle(machine);
    }
    CHECK(machine.counts().host_waits == 0);
    trials = machine.counts().tile_trials;
    recalled = machine.counts().tiles_recalled;
    CHECK(machine.counts().tiles_tuned == (trials > 0 ? kinds : 0));
    std::vector<std::vector<float>> results;
    for (const Tensor& y : all) results.push_back(y.to_vector<float>());
    CHECK(machine.counts().validation_messages == 0);
    return results;
  };
  std::uint64_t trials = 0, recalled = 0;
  const auto expected = run(Tuning::off, trials, recalled);
  CHECK(trials == 0);
  CHECK((run(Tuning::deterministic, trials, recalled) == expected));
  CHECK(trials > 2);
  CHECK(recalled == 0);
  CHECK((run(Tuning::deterministic, trials, recalled) == expected));
  CHECK(trials == 0);
  CHECK(recalled == kinds);
  CHECK((run(Tuning::off, trials, recalled) == expected));
  CHECK(recalled == 0);
}

// Goal: of what competes where bits count, all has the same. Method: candidates in turn, taken for
// every launch, at sizes and layouts that reach every edge of a tile.
TEST_CASE("candidates have the reference's bits", "[vulkan]") {
  const auto [gpu_kernels, dtype] = GENERATE(
      std::pair(false, DType::float32),
      std::pair(false, DType::float64),
      std::pair(true, DType::float32));
  CAPTURE(gpu_kernels, dtype);
  const auto with = [&, gpu_kernels = gpu_kernels, dtype = dtype](std::size_t candidate) {
    Options options = tuned(Tuning::deterministic, gpu_kernels);
    options.tuning = candidate ? Tuning::deterministic : Tuning::off;
    options.cache_folder = test::vulkan_options().cache_folder;
    Machine machine(options);
    machine.gpu.tuner().always = candidate;
    auto all = results(dtype, gpu_kernels);
    CHECK(machine.counts().validation_messages == 0);
    return all;
  };
  const auto expected = with(0);
  // Some of each, for time; in shared memory one of more steps, a tall one, and a wide one.
  const std::vector<std::size_t> in_shared{2, 3, 8};
  const std::vector<std::size_t> in_registers{1, 4, 7};
  for (const std::size_t candidate : gpu_kernels ? in_shared : in_registers) {
    CAPTURE(candidate);
    const auto got = with(candidate);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(i);
      CHECK((got[i] == expected[i]));
    }
  }
}

}  // namespace troupe::vulkan
