#include "trials.hpp"

#include "number.hpp"
#include "vulkan_device.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/tensor/ops/uniform.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

namespace troupe::vulkan {

namespace {

/// Fewer products than this take about as long as it takes to launch them.
constexpr std::uint64_t work_min = 1 << 20;
/// Times that reference and candidate are measured, in turn; the shortest of each counts.
constexpr std::uint32_t rounds = 3;
constexpr std::uint32_t queries = 2 * rounds + 1;

/// Numbers in the place of an operand's: what a candidate does with a user's may be no proof, for
/// sums of zeros and of small whole numbers are the same in any order.
Value stand_in(Encoder& encoder, const Value& operand, std::uint64_t call) {
  if (!operand) return operand;
  Uniform op;
  op.dtype = operand->dtype();
  op.shape = {static_cast<std::int64_t>(reach(*operand) / size_of(op.dtype))};
  op.low = -1;
  const OpRef drawn = make_op(op);
  const Value numbers = encoder.scratch(op.dtype, op.shape);
  (void)encoder.device().launch(Launch{drawn.get(), {}, {&numbers, 1}, 0, call});
  return numbers;
}

/// What two orders of adding `depth` products of numbers from -1 to 1 may differ by: rounding grows
/// with the sum, whose size is about the root of depth, at about as many steps.
double tolerance_of(DType dtype, std::uint64_t depth) {
  const double unit = dtype == DType::float64 ? std::numeric_limits<double>::epsilon()
                                              : std::numeric_limits<float>::epsilon();
  return 4 * unit * (static_cast<double>(depth) + 8);
}

}  // namespace

/// What the device writes while it runs one, and who asked.
struct Trials::Trial {
  Trial(const Context& of, const TileKey& asked, const Tile& tried)
      : context(of), key(asked), tile(tried) {}
  ~Trial() { context.vk.vkDestroyQueryPool(context.handle, times, nullptr); }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  const Context& context;
  TileKey key;
  Tile tile;
  VkQueryPool times = VK_NULL_HANDLE;
  Value differ;  // elements with other bits, elements that are wrong; where the host sees them
  std::uint64_t host_ns = 0;
  bool failed = false;
};

Trials::Trials(VulkanDevice& device, Tuner& tuner) : device_(device), tuner_(tuner) {}
Trials::~Trials() = default;

bool Trials::measurable(const Context& context) { return context.timestamp_bits != 0; }

bool Trials::fits(const TiledOperands& operands) const {
  std::uint64_t bytes = 2 * operands.out->meta().bytes();
  for (const Value& value : {operands.left, operands.right, operands.bias})
    if (value) bytes += reach(*value);
  const Context& context = device_.context();
  const std::uint64_t all = context.options.memory_bytes_max ? context.options.memory_bytes_max
                                                             : context.info.memory_bytes;
  // Packed operands and slices take as much again.
  return device_.memory().counts().in_use + 2 * bytes <= all / 2;
}

void Trials::run(
    Encoder& encoder,
    const TileKey& key,
    TiledLaunch& launch,
    const TiledOperands& operands,
    std::uint64_t depth) {
  if (!fits(operands)) return tuner_.give_up(key);
  const std::optional<Tile> candidate = tuner_.next(key);
  if (!candidate) return;
  Trial* trial = nullptr;
  {
    const std::lock_guard lock(lock_);
    trial = &under_way_.emplace_back(device_.context(), key, *candidate);
  }
  const Clock& clock = device_.system().clock();
  const std::int64_t begin_ns = clock.now_ns();
  try {
    send(encoder, *trial, launch, operands, depth);
  } catch (const Error&) {  // no memory, or a shader that does not compile: the candidate loses
    trial->failed = true;
  }
  trial->host_ns = static_cast<std::uint64_t>(clock.now_ns() - begin_ns);
  try {
    (void)device_.queue().fence([this, trial] { finish(*trial); });
  } catch (const Error&) {  // the device is lost, as the next launch will tell
    trial->failed = true;
    tuner_.finish(key, *candidate, outcome_of(*trial));
  }
}

void Trials::send(
    Encoder& encoder,
    Trial& trial,
    TiledLaunch& launch,
    const TiledOperands& operands,
    std::uint64_t depth) {
  const Context& context = device_.context();
  VkQueryPoolCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
  create.queryType = VK_QUERY_TYPE_TIMESTAMP;
  create.queryCount = queries;
  check(
      context.vk.vkCreateQueryPool(context.handle, &create, nullptr, &trial.times),
      "making a query pool");
  const Meta& out = operands.out->meta();
  const Value left = stand_in(encoder, operands.left, 0);
  const Value right = stand_in(encoder, operands.right, 1);
  const Value bias = stand_in(encoder, operands.bias, 2);
  const TiledOperands expected{left, right, bias, encoder.scratch(out.dtype, out.shape)};
  const TiledOperands tried{left, right, bias, encoder.scratch(out.dtype, out.shape)};
  launch.encode(trial.key.reference, expected);
  launch.encode(trial.tile, tried);

  static const ShaderByDType shaders("compare");
  trial.differ = device_.host_words();
  const auto elements = static_cast<std::uint32_t>(out.elements());
  const Spread spread = encoder.spread(elements, 16);
  const struct {
    std::uint32_t n, turns;
    Number tolerance;
  } params{elements, spread.turns, Number::of(out.dtype, tolerance_of(out.dtype, depth))};
  encoder.dispatch(
      encoder.shader(shaders, out.dtype),
      {spread.group},
      {read(expected.out), read(tried.out), write(trial.differ, 4)},
      params,
      spread.grid);

  // In turn, so that a clock that rises meanwhile serves both.
  Queue& queue = device_.queue();
  std::uint32_t query = 0;
  queue.send(Timestamp{trial.times, query++});
  for (std::uint32_t round = 0; round < rounds; ++round) {
    launch.encode(trial.key.reference, expected);
    queue.send(Timestamp{trial.times, query++});
    launch.encode(trial.tile, tried);
    queue.send(Timestamp{trial.times, query++});
  }
}

void Trials::finish(Trial& trial) {
  tuner_.finish(trial.key, trial.tile, outcome_of(trial));
  const std::lock_guard lock(lock_);
  under_way_.remove_if([&](const Trial& other) { return &other == &trial; });
}

TileOutcome Trials::outcome_of(const Trial& trial) const {
  const Context& context = device_.context();
  TileOutcome outcome;
  outcome.cost_ns = trial.host_ns;
  outcome.failed = true;
  std::uint64_t times[queries] = {};
  if (trial.failed || context.vk.vkGetQueryPoolResults(
                          context.handle,
                          trial.times,
                          0,
                          queries,
                          sizeof times,
                          times,
                          sizeof times[0],
                          VK_QUERY_RESULT_64_BIT) != VK_SUCCESS)
    return outcome;
  outcome.failed = false;
  std::uint32_t differ[2];
  std::memcpy(differ, device_.host_bytes(trial.differ), sizeof differ);
  outcome.other_bits = differ[0];
  outcome.wrong = differ[1];

  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - context.timestamp_bits);
  const auto between_ns = [&](std::uint32_t from, std::uint32_t to) {
    return static_cast<double>((times[to] - times[from]) & mask) *
           double{context.limits.timestampPeriod};
  };
  double reference_ns = std::numeric_limits<double>::max();
  double candidate_ns = reference_ns;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    reference_ns = std::min(reference_ns, between_ns(2 * round, 2 * round + 1));
    candidate_ns = std::min(candidate_ns, between_ns(2 * round + 1, 2 * round + 2));
  }
  // A clock too coarse to tell shows no gain.
  outcome.ratio = reference_ns > 0 ? candidate_ns / reference_ns : 1;
  outcome.cost_ns += static_cast<std::uint64_t>(between_ns(0, queries - 1));
  return outcome;
}

void encode_tiled(
    Encoder& encoder,
    const TileKey& key,
    TiledLaunch& launch,
    const TiledOperands& operands,
    std::uint64_t depth,
    std::uint64_t work) {
  VulkanDevice& device = encoder.device();
  Tuner& tuner = device.tuner();
  if (!tuner.on() || (work < work_min && tuner.always == 0))
    return launch.encode(key.reference, operands);
  const Tuner::Choice choice = tuner.choose(key, launch);
  launch.encode(choice.tile, operands);
  if (!choice.decided) device.count_on_trial();
  if (choice.open && !encoder.recording())
    device.trials().run(encoder, key, launch, operands, depth);
}

}  // namespace troupe::vulkan
