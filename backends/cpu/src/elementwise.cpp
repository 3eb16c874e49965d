#include "elementwise.hpp"

#include "simd.hpp"
#include "stream.hpp"

#include <cstring>

namespace troupe::cpu {

template <>
void ElementwiseLoops<Arch>::run(
    const KernelCall& call,
    Expression expression,
    std::int64_t begin,
    std::int64_t end,
    bool streams);

namespace {

/// The loops over an output and its inputs, with as few dimensions as their strides allow: a launch
/// on plain arrays has one.
struct Nest {
  std::size_t rank = 0;
  std::int64_t sizes[rank_max];                                        // innermost first
  std::int64_t strides[ElementwiseLoops<Arch>::inputs_max][rank_max];  // in elements
  bool plain[ElementwiseLoops<Arch>::inputs_max];  // lies in memory as the output does
};

[[gnu::always_inline]] inline Nest nest_of(const KernelCall& call) {
  Nest nest;
  const View& out = call.out[0];
  const std::size_t rank = out.shape.size();
  for (std::size_t d = rank; d-- > 0;) {
    const std::int64_t size = out.shape[d];
    if (size == 1) continue;
    std::int64_t steps[ElementwiseLoops<Arch>::inputs_max];
    bool merges = nest.rank > 0;
    for (std::size_t k = 0; k < call.in_count; ++k) {
      const View& in = call.in[k];
      const std::size_t missing = rank - in.shape.size();
      const bool repeats = d < missing || in.shape[d - missing] == 1;
      steps[k] = repeats ? 0 : in.strides[d - missing];
      if (nest.rank > 0)
        merges = merges && steps[k] == nest.strides[k][nest.rank - 1] * nest.sizes[nest.rank - 1];
    }
    if (merges) {
      nest.sizes[nest.rank - 1] *= size;
      continue;
    }
    nest.sizes[nest.rank] = size;
    for (std::size_t k = 0; k < call.in_count; ++k) nest.strides[k][nest.rank] = steps[k];
    ++nest.rank;
  }
  if (nest.rank == 0) {
    nest.rank = 1;
    nest.sizes[0] = 1;
    for (std::size_t k = 0; k < call.in_count; ++k) nest.strides[k][0] = 1;
  }
  for (std::size_t k = 0; k < call.in_count; ++k) {
    nest.plain[k] = true;
    std::int64_t step = 1;
    for (std::size_t d = 0; d < nest.rank; ++d) {
      nest.plain[k] = nest.plain[k] && nest.strides[k][d] == step;
      step *= nest.sizes[d];
    }
  }
  return nest;
}

/// Where one input's elements are, while the output's are passed in order.
struct Cursor {
  std::int64_t index[rank_max];
  std::int64_t offset = 0;
};

inline void seek(
    Cursor& cursor, const Nest& nest, const std::int64_t* strides, std::int64_t place) {
  cursor.offset = 0;
  for (std::size_t d = 0; d < nest.rank; ++d) {
    cursor.index[d] = place % nest.sizes[d];
    place /= nest.sizes[d];
    cursor.offset += cursor.index[d] * strides[d];
  }
}

/// Moves on by `n` elements that end within or at the end of the innermost row.
inline void advance(Cursor& cursor, const Nest& nest, const std::int64_t* strides, std::int64_t n) {
  cursor.index[0] += n;
  cursor.offset += n * strides[0];
  for (std::size_t d = 0; d + 1 < nest.rank && cursor.index[d] == nest.sizes[d]; ++d) {
    cursor.offset += strides[d + 1] - nest.sizes[d] * strides[d];
    cursor.index[d] = 0;
    ++cursor.index[d + 1];
  }
}

template <class Word>
void repeat_as(const void* from, void* to, std::int64_t n) {
  const Word word = *static_cast<const Word*>(from);
  Word* const out = static_cast<Word*>(to);
  for (std::int64_t i = 0; i < n; ++i) out[i] = word;
}

inline void repeat(std::size_t bytes, const void* from, void* to, std::int64_t n) {
  switch (bytes) {
    case 8:
      repeat_as<std::uint64_t>(from, to, n);
      break;
    case 4:
      repeat_as<std::uint32_t>(from, to, n);
      break;
    case 2:
      repeat_as<std::uint16_t>(from, to, n);
      break;
    default:
      repeat_as<std::uint8_t>(from, to, n);
      break;
  }
}

template <class Word>
void gather_as(
    const Word* from,
    const Nest& nest,
    const std::int64_t* strides,
    std::int64_t begin,
    std::int64_t n,
    Word* to) {
  Cursor cursor;
  seek(cursor, nest, strides, begin);
  const std::int64_t step = strides[0];
  while (n > 0) {
    const std::int64_t left = nest.sizes[0] - cursor.index[0];
    const std::int64_t run = left < n ? left : n;
    const Word* const row = from + cursor.offset;
    if (step == 1) {
      std::memcpy(to, row, static_cast<std::size_t>(run) * sizeof(Word));
    } else if (step == 0) {
      const Word word = *row;
      for (std::int64_t i = 0; i < run; ++i) to[i] = word;
    } else {
      for (std::int64_t i = 0; i < run; ++i) to[i] = row[i * step];
    }
    to += run;
    n -= run;
    advance(cursor, nest, strides, run);
  }
}

inline void gather(
    std::size_t bytes,
    const void* from,
    const Nest& nest,
    const std::int64_t* strides,
    std::int64_t begin,
    std::int64_t n,
    void* to) {
  const auto as = [&]<class Word>(Word) {
    gather_as(static_cast<const Word*>(from), nest, strides, begin, n, static_cast<Word*>(to));
  };
  switch (bytes) {
    case 8:
      as(std::uint64_t{});
      break;
    case 4:
      as(std::uint32_t{});
      break;
    case 2:
      as(std::uint16_t{});
      break;
    default:
      as(std::uint8_t{});
      break;
  }
}

struct Tiles {
  alignas(64)
      std::byte of[ElementwiseLoops<Arch>::inputs_max][ElementwiseLoops<Arch>::tile_elements * 8];
};

/// Where results of up to a tile go: to the output, or past the caches by way of a tile that stays
/// in the first one.
class Results {
 public:
  Results(const KernelCall& call, bool streams)
      : streams(streams), out_(call.out[0].as<std::byte>()), bytes_(size_of(call.out[0].dtype)) {}
  ~Results() {
    if (streams) Stream<Arch>::finish();
  }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  void compute(
      const void* attributes,
      Expression expression,
      const void* const* from,
      std::int64_t begin,
      std::int64_t n) {
    std::byte* const to = out_ + begin * static_cast<std::int64_t>(bytes_);
    expression(attributes, streams ? tile_ : to, from, n);
    if (streams) Stream<Arch>::copy(to, tile_, static_cast<std::size_t>(n) * bytes_, true);
  }

  const bool streams;

 private:
  alignas(64) std::byte tile_[ElementwiseLoops<Arch>::tile_elements * 8];
  std::byte* out_;
  std::size_t bytes_;
};

/// Row by row: each input is contiguous along the innermost dimension, or repeats one element
/// there.
void run_rows(
    const KernelCall& call,
    Expression expression,
    const Nest& nest,
    std::int64_t begin,
    std::int64_t end,
    bool streams) {
  Tiles tiles;
  Cursor cursors[ElementwiseLoops<Arch>::inputs_max];
  const void* from[ElementwiseLoops<Arch>::inputs_max];
  std::size_t bytes[ElementwiseLoops<Arch>::inputs_max];
  const std::byte* repeated[ElementwiseLoops<Arch>::inputs_max] = {};
  Results results(call, streams);
  std::int64_t longest = end - begin;
  if (results.streams && longest > ElementwiseLoops<Arch>::tile_elements)
    longest = ElementwiseLoops<Arch>::tile_elements;
  for (std::size_t k = 0; k < call.in_count; ++k) {
    seek(cursors[k], nest, nest.strides[k], begin);
    bytes[k] = size_of(call.in[k].dtype);
    if (nest.strides[k][0] == 0 && longest > ElementwiseLoops<Arch>::tile_elements)
      longest = ElementwiseLoops<Arch>::tile_elements;
  }
  std::int64_t in_row = begin % nest.sizes[0];
  while (begin < end) {
    std::int64_t run = nest.sizes[0] - in_row;
    if (run > end - begin) run = end - begin;
    if (run > longest) run = longest;
    for (std::size_t k = 0; k < call.in_count; ++k) {
      const std::byte* at = call.in[k].as<const std::byte>() +
                            cursors[k].offset * static_cast<std::int64_t>(bytes[k]);
      if (nest.strides[k][0] == 0) {
        if (repeated[k] != at) {
          // The whole tile, for the element may serve longer rows later.
          repeat(bytes[k], at, tiles.of[k], longest);
          repeated[k] = at;
        }
        from[k] = tiles.of[k];
      } else {
        from[k] = at;
      }
      advance(cursors[k], nest, nest.strides[k], run);
    }
    results.compute(call.attributes, expression, from, begin, run);
    begin += run;
    in_row += run;
    if (in_row == nest.sizes[0]) in_row = 0;
  }
}

/// Tile by tile: what does not lie as the output does is gathered first.
void run_tiles(
    const KernelCall& call,
    Expression expression,
    const Nest& nest,
    std::int64_t begin,
    std::int64_t end,
    bool streams) {
  Tiles tiles;
  const void* from[ElementwiseLoops<Arch>::inputs_max];
  Results results(call, streams);
  while (begin < end) {
    const std::int64_t n = end - begin < ElementwiseLoops<Arch>::tile_elements
                               ? end - begin
                               : ElementwiseLoops<Arch>::tile_elements;
    for (std::size_t k = 0; k < call.in_count; ++k) {
      const std::size_t bytes = size_of(call.in[k].dtype);
      if (nest.plain[k]) {
        from[k] = call.in[k].as<const std::byte>() + begin * static_cast<std::int64_t>(bytes);
      } else {
        gather(bytes, call.in[k].data, nest, nest.strides[k], begin, n, tiles.of[k]);
        from[k] = tiles.of[k];
      }
    }
    results.compute(call.attributes, expression, from, begin, n);
    begin += n;
  }
}

void run_chunk(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte*) {
  const std::int64_t total = plan.numbers[1];
  const std::int64_t begin = chunk * ElementwiseLoops<Arch>::chunk_elements;
  const std::int64_t left = total - begin;
  ElementwiseLoops<Arch>::run(
      call,
      reinterpret_cast<Expression>(plan.numbers[0]),
      begin,
      begin + (left < ElementwiseLoops<Arch>::chunk_elements
                   ? left
                   : ElementwiseLoops<Arch>::chunk_elements),
      plan.numbers[2] != 0);
}

}  // namespace

template <>
void ElementwiseLoops<Arch>::run(
    const KernelCall& call,
    Expression expression,
    std::int64_t begin,
    std::int64_t end,
    bool streams) {
  const Nest nest = nest_of(call);
  // Rows shorter than this cost more in calls than gathering them costs.
  constexpr std::int64_t row_least = 64;
  bool rows = nest.rank == 1 || nest.sizes[0] >= row_least;
  for (std::size_t k = 0; k < call.in_count; ++k)
    rows = rows && (nest.strides[k][0] == 0 || nest.strides[k][0] == 1);
  if (rows)
    run_rows(call, expression, nest, begin, end, streams);
  else
    run_tiles(call, expression, nest, begin, end, streams);
}

template <>
void ElementwiseLoops<Arch>::plan(
    const KernelCall& call, Plan& plan, Expression expression, bool waits) {
  std::int64_t total = 1;
  for (std::size_t d = 0; d < call.out[0].shape.size(); ++d) total *= call.out[0].shape[d];
  if (total == 0) return;
  plan.numbers[0] = reinterpret_cast<std::int64_t>(expression);
  plan.numbers[1] = total;
  const auto out_bytes = static_cast<std::int64_t>(size_of(call.out[0].dtype));
  plan.numbers[2] = waits && Stream<Arch>::pays(total * out_bytes);
  std::size_t bytes = size_of(call.out[0].dtype);
  for (std::size_t k = 0; k < call.in_count; ++k) bytes += size_of(call.in[k].dtype);
  plan.cost_ns = static_cast<double>(total) * static_cast<double>(bytes) / 15;  // 15 GB/s
  plan.add(&run_chunk, (total + chunk_elements - 1) / chunk_elements);
}

}  // namespace troupe::cpu
