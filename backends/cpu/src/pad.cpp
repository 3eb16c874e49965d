#include "index_walk.hpp"

#include <troupe/tensor/ops/pad.hpp>

namespace troupe::cpu {
namespace {

/// plan.numbers
enum Number : std::size_t { rows, rows_a_chunk };

/// The value as an element of the output's dtype; 16-bit floats take 0 only, which all bits off is.
template <class Word>
Word element_of(DType dtype, double value) {
  Word word{};
  const auto put = [&](auto element) {
    if constexpr (sizeof(element) == sizeof(Word)) std::memcpy(&word, &element, sizeof(Word));
  };
  switch (dtype) {
    case DType::float32:
      put(static_cast<float>(value));
      break;
    case DType::float64:
      put(value);
      break;
    case DType::int32:
      put(static_cast<std::int32_t>(value));
      break;
    case DType::int64:
      put(static_cast<std::int64_t>(value));
      break;
    case DType::uint8:
      put(static_cast<std::uint8_t>(value));
      break;
    case DType::boolean:
      put(value != 0);
      break;
    default:
      break;
  }
  return word;
}

/// Writes the output row by row: border, what the input has there, border.
template <class Word>
void run(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const auto& op = call.op<Pad>();
  const Shape& from = call.in[0].shape;
  const Shape& to = call.out[0].shape;
  const std::size_t rank = to.size();
  const Word fill = element_of<Word>(call.out[0].dtype, op.value);
  const Word* x = Contiguous<Arch>::in<Word>(call, scratch, 0);
  if (rank == 0) {
    call.out[0].as<Word>()[0] = x[0];
    return;
  }
  const std::int64_t width = to[rank - 1];
  const std::int64_t from_width = from[rank - 1];
  const std::int64_t left = op.before[rank - 1];
  const std::int64_t begin = left > 0 ? (left < width ? left : width) : 0;
  const std::int64_t limit = left + from_width < width ? left + from_width : width;
  const std::int64_t first = chunk * plan.numbers[rows_a_chunk];
  std::int64_t end = first + plan.numbers[rows_a_chunk];
  if (end > plan.numbers[rows]) end = plan.numbers[rows];
  for (std::int64_t row = first; row < end; ++row) {
    Word* y = call.out[0].as<Word>() + row * width;
    std::int64_t rest = row;
    std::int64_t source = 0;
    std::int64_t stride = 1;
    bool inside = limit > begin;
    for (std::size_t d = rank - 1; d-- > 0;) {
      const std::int64_t at = rest % to[d] - op.before[d];
      rest /= to[d];
      inside = inside && at >= 0 && at < from[d];
      source += at * stride;
      stride *= from[d];
    }
    const std::int64_t stop = inside ? begin : width;
    for (std::int64_t j = 0; j < stop; ++j) y[j] = fill;
    if (!inside) continue;
    std::memcpy(
        y + begin,
        x + source * from_width + (begin - left),
        static_cast<std::size_t>(limit - begin) * sizeof(Word));
    for (std::int64_t j = limit; j < width; ++j) y[j] = fill;
  }
}

}  // namespace

template <>
void Kernel<Pad, Arch>::plan(const KernelCall& call, Plan& plan) {
  Contiguous<Arch>::plan(call, plan);
  const std::int64_t all = call.out[0].elements();
  if (all == 0) return;
  const std::size_t rank = call.out[0].shape.size();
  const std::int64_t width = rank ? call.out[0].shape[rank - 1] : 1;
  const std::int64_t per_chunk = width < 16384 ? 16384 / width : 1;
  const std::int64_t count = all / width;
  plan.numbers = {count, per_chunk};
  plan.cost_ns += 0.4 * static_cast<double>(all) + 8 * static_cast<double>(count);
  const std::int64_t chunks = (count + per_chunk - 1) / per_chunk;
  switch (width_of<Arch>(call.out[0].dtype)) {
    case 8:
      return plan.add(&run<std::uint64_t>, chunks);
    case 4:
      return plan.add(&run<std::uint32_t>, chunks);
    case 2:
      return plan.add(&run<std::uint16_t>, chunks);
    default:
      return plan.add(&run<std::uint8_t>, chunks);
  }
}

}  // namespace troupe::cpu
