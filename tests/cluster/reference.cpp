#include "reference.hpp"

#include <troupe/cluster/collectives.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace troupe::testing {

namespace {

std::uint64_t drawn(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t z = (seed + 1) * 0x9e3779b97f4a7c15 + (i + 1) * 0xd1b54a32d192ed03;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// −1 … 1 times a power of 2 between 2⁻⁸ and 2⁷: far enough apart that roundings differ.
double number(std::uint64_t bits) {
  const double fraction = static_cast<double>(static_cast<std::int64_t>(bits)) * 0x1p-63;
  return std::ldexp(fraction, static_cast<int>(bits % 16) - 8);
}

float widen(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
// To the nearest of the two neighbors, by their distance; the even one of equals. Finite only.
std::uint16_t narrow(float x) {
  const auto down = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);
  const auto up = static_cast<std::uint16_t>(down + 1);
  const double below = std::abs(double{x} - double{widen(down)});
  const double above = std::abs(double{widen(up)} - double{x});
  if (below != above) return below < above ? down : up;
  return down % 2 == 0 ? down : up;
}

template <class T>
T met(cluster::Reduction reduction, T a, T b) {
  if (reduction == cluster::Reduction::max) return std::max(b, a);
  if (reduction == cluster::Reduction::min) return std::min(b, a);
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    return static_cast<std::int32_t>(std::int64_t{a} + b);
  } else {
    return a + b;
  }
}

void meet(DType dtype, cluster::Reduction reduction, std::byte* a, const std::byte* b) {
  const auto in = [&]<class T>(T) {
    T x;
    T y;
    std::memcpy(&x, a, sizeof x);
    std::memcpy(&y, b, sizeof y);
    x = met(reduction, x, y);
    std::memcpy(a, &x, sizeof x);
  };
  switch (dtype) {
    case DType::float32:
      return in(float{});
    case DType::float64:
      return in(double{});
    case DType::int32:
      return in(std::int32_t{});
    case DType::int64:
      return in(std::int64_t{});
    default:
      break;
  }
  std::uint16_t x;
  std::uint16_t y;
  std::memcpy(&x, a, sizeof x);
  std::memcpy(&y, b, sizeof y);
  x = narrow(met(reduction, widen(x), widen(y)));
  std::memcpy(a, &x, sizeof x);
}

}  // namespace

Bytes some_values(DType dtype, std::size_t elements, std::uint64_t seed, std::uint32_t shard) {
  std::vector<std::byte> bytes(elements * size_of(dtype));
  for (std::size_t i = 0; i < elements; ++i) {
    const std::uint64_t bits = drawn(seed * 1024 + shard, i);
    std::byte* const to = bytes.data() + i * size_of(dtype);
    if (dtype == DType::float64) {
      const double value = number(bits);
      std::memcpy(to, &value, sizeof value);
    } else if (dtype == DType::float32) {
      const auto value = static_cast<float>(number(bits));
      std::memcpy(to, &value, sizeof value);
    } else if (dtype == DType::bfloat16) {
      const std::uint16_t value = narrow(static_cast<float>(number(bits)));
      std::memcpy(to, &value, sizeof value);
    } else {
      std::memcpy(to, &bits, size_of(dtype));
    }
  }
  return Bytes::copy_of(bytes);
}

std::vector<std::byte> serial_tree(
    DType dtype,
    cluster::Reduction reduction,
    const std::vector<Bytes>& shards,
    std::uint32_t low,
    std::uint32_t high) {
  if (high - low == 1) {
    const auto leaf = shards[low].span();
    return {leaf.begin(), leaf.end()};
  }
  const std::uint32_t middle = low + (high - low + 1) / 2;
  auto left = serial_tree(dtype, reduction, shards, low, middle);
  const auto right = serial_tree(dtype, reduction, shards, middle, high);
  for (std::size_t at = 0; at < left.size(); at += size_of(dtype))
    meet(dtype, reduction, left.data() + at, right.data() + at);
  return left;
}

std::vector<Bytes> subtrees_of(
    std::uint32_t rank,
    std::uint32_t ranks,
    DType dtype,
    cluster::Reduction reduction,
    const std::vector<Bytes>& shards) {
  const auto leaves = static_cast<std::uint32_t>(shards.size());
  std::vector<Bytes> sums;
  for (const nn::ShardRange node :
       nn::whole_subtrees(leaves, cluster::shards_of(rank, ranks, leaves)))
    sums.push_back(Bytes::copy_of(serial_tree(
        dtype,
        reduction,
        shards,
        static_cast<std::uint32_t>(node.begin),
        static_cast<std::uint32_t>(node.end))));
  return sums;
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace troupe::testing
