#pragma once

#include "kernel.hpp"
#include "stream.hpp"
#include "transpose.hpp"

#include <cstring>

namespace troupe::cpu {

/// Copies a strided tensor to plain row-major memory, cut into chunks by its shape.
///
/// Where the innermost dimension lies in order, row by row. Else, where another one does, in square
/// tiles of the two, which registers transpose: each line of the cache is then read and written
/// once. What has no dimension in order is gathered element by element.
template <class A>
class StridedCopy {
 public:
  explicit StridedCopy(const View& from) : from_(static_cast<const std::byte*>(from.data)) {
    for (std::size_t d = 0; d < from.shape.size(); ++d) add(from.shape[d], from.strides[d]);
    if (rank_ == 0) add(1, 1, true);
    for (std::size_t d = rank_; d-- > 0;) {
      to_[d] = total_;
      total_ *= sizes_[d];
    }
    if (total_ == 0) return;
    split_ = rank_ - 1;
    while (split_ > 0 && sizes_[split_] * to_[split_] < elements_a_chunk) --split_;
    split_size_ = to_[split_] < elements_a_chunk ? elements_a_chunk / to_[split_] : 1;
    if (from_step_[rank_ - 1] == 1 || from_step_[rank_ - 1] == 0) return;
    for (std::size_t d = 0; d + 1 < rank_; ++d)
      if (from_step_[d] == 1) turned_ = static_cast<std::int64_t>(d);
    if (turned_ < 0) return;
    row_blocks_ = (sizes_[turned_] + rows_a_chunk - 1) / rows_a_chunk;
    column_blocks_ = (sizes_[rank_ - 1] + columns_a_chunk - 1) / columns_a_chunk;
  }

  [[nodiscard]] std::int64_t chunks() const {
    if (total_ == 0) return 0;
    if (turned_ < 0)
      return total_ / (sizes_[split_] * to_[split_]) *
             ((sizes_[split_] + split_size_ - 1) / split_size_);
    return total_ / (sizes_[turned_] * sizes_[rank_ - 1]) * row_blocks_ * column_blocks_;
  }
  /// A rough estimate of one thread's time, for elements of so many bytes.
  [[nodiscard]] double cost_ns(std::size_t bytes) const {
    const bool gathers = turned_ < 0 && from_step_[rank_ - 1] != 1;
    return static_cast<double>(total_) * (gathers ? 1 : 0.04 * static_cast<double>(bytes));
  }
  /// Copies one chunk of elements of so many bytes.
  void run(std::size_t bytes, std::int64_t chunk, void* to) const {
    switch (bytes) {
      case 8:
        return run_as<std::uint64_t>(chunk, to);
      case 4:
        return run_as<std::uint32_t>(chunk, to);
      case 2:
        return run_as<std::uint16_t>(chunk, to);
      default:
        return run_as<std::uint8_t>(chunk, to);
    }
  }

 private:
  static constexpr std::int64_t elements_a_chunk = 32768;
  static constexpr std::int64_t rows_a_chunk = 1024;
  static constexpr std::int64_t columns_a_chunk = 64;

  /// Joins a dimension to the one before, where it is its continuation.
  void add(std::int64_t size, std::int64_t step, bool always = false) {
    if (size == 1 && !always) return;
    if (rank_ > 0 && from_step_[rank_ - 1] == step * size) {
      sizes_[rank_ - 1] *= size;
      from_step_[rank_ - 1] = step;
      return;
    }
    sizes_[rank_] = size;
    from_step_[rank_++] = step;
  }

  template <class Word>
  void run_as(std::int64_t chunk, void* to) const {
    const auto* const from = reinterpret_cast<const Word*>(from_);
    if (turned_ < 0)
      run_rows(from, chunk, static_cast<Word*>(to));
    else
      run_tiles(from, chunk, static_cast<Word*>(to));
  }

  /// One box of the result: some of dimension `split_` and all of what lies further in, row by row
  /// in the order in which the rows lie in the source, for memory is read faster in its own order.
  template <class Word>
  void run_rows(const Word* from, std::int64_t chunk, Word* to) const {
    const std::size_t last = rank_ - 1;
    const std::int64_t blocks = (sizes_[split_] + split_size_ - 1) / split_size_;
    const std::int64_t first = chunk % blocks * split_size_;
    std::int64_t place = chunk / blocks;
    for (std::size_t d = split_; d-- > 0;) {
      from += place % sizes_[d] * from_step_[d];
      to += place % sizes_[d] * to_[d];
      place /= sizes_[d];
    }
    from += first * from_step_[split_];
    to += first * to_[split_];
    std::int64_t sizes[rank_max];
    std::size_t order[rank_max];
    std::size_t loops = 0;
    for (std::size_t d = split_; d < rank_; ++d) sizes[d] = sizes_[d];
    if (sizes_[split_] - first < split_size_)
      sizes[split_] = sizes_[split_] - first;
    else
      sizes[split_] = split_size_;
    for (std::size_t d = split_; d < last; ++d) {
      std::size_t at = loops++;
      for (; at > 0 && from_step_[order[at - 1]] < from_step_[d]; --at) order[at] = order[at - 1];
      order[at] = d;
    }
    const bool streams = Stream<A>::pays(total_ * static_cast<std::int64_t>(sizeof(Word)));
    std::int64_t index[rank_max] = {};
    for (;;) {
      copy_row(from, from_step_[last], to, sizes[last], streams);
      std::size_t l = loops;
      for (; l-- > 0;) {
        const std::size_t d = order[l];
        from += from_step_[d];
        to += to_[d];
        if (++index[d] < sizes[d]) break;
        from -= sizes[d] * from_step_[d];
        to -= sizes[d] * to_[d];
        index[d] = 0;
      }
      if (l == static_cast<std::size_t>(-1)) break;
    }
    if (streams) Stream<A>::finish();
  }
  template <class Word>
  static void copy_row(
      const Word* from, std::int64_t step, Word* to, std::int64_t n, bool streams) {
    if (step == 1) {
      Stream<A>::copy(to, from, static_cast<std::size_t>(n) * sizeof(Word), streams);
    } else if (step == 0) {
      const Word word = *from;
      for (std::int64_t i = 0; i < n; ++i) to[i] = word;
    } else {
      for (std::int64_t i = 0; i < n; ++i) to[i] = from[i * step];
    }
  }

  /// One block of the plane of the turned dimension, rows here, and the innermost, columns.
  template <class Word>
  void run_tiles(const Word* from, std::int64_t chunk, Word* to) const {
    using Tile = Transpose<Word, A>;
    const auto turned = static_cast<std::size_t>(turned_);
    const std::int64_t columns = sizes_[rank_ - 1];
    const std::int64_t first_row = chunk / column_blocks_ % row_blocks_ * rows_a_chunk;
    const std::int64_t first_column = chunk % column_blocks_ * columns_a_chunk;
    std::int64_t place = chunk / column_blocks_ / row_blocks_;
    for (std::size_t d = rank_ - 1; d-- > 0;) {
      if (d == turned) continue;
      from += place % sizes_[d] * from_step_[d];
      to += place % sizes_[d] * to_[d];
      place /= sizes_[d];
    }
    const std::int64_t rows =
        sizes_[turned] - first_row < rows_a_chunk ? sizes_[turned] - first_row : rows_a_chunk;
    const std::int64_t width =
        columns - first_column < columns_a_chunk ? columns - first_column : columns_a_chunk;
    const std::int64_t from_step = from_step_[rank_ - 1];
    const std::int64_t to_step = to_[turned];
    from += first_row + first_column * from_step;
    to += first_row * to_step + first_column;
    constexpr std::int64_t size = Tile::size;
    constexpr std::int64_t tile_bytes = size * static_cast<std::int64_t>(sizeof(Word));
    const bool streams =
        Tile::can_stream && Stream<A>::pays(total_ * static_cast<std::int64_t>(sizeof(Word))) &&
        reinterpret_cast<std::uintptr_t>(to) % tile_bytes == 0 && to_step % size == 0;
    const std::int64_t whole_rows = rows - rows % size;
    const std::int64_t whole_columns = width - width % size;
    for (std::int64_t i = 0; i < whole_rows; i += size)
      for (std::int64_t j = 0; j < whole_columns; j += size)
        Tile::tile(from + i + j * from_step, from_step, to + i * to_step + j, to_step, streams);
    for (std::int64_t i = 0; i < whole_rows; ++i)
      for (std::int64_t j = whole_columns; j < width; ++j)
        to[i * to_step + j] = from[i + j * from_step];
    for (std::int64_t i = whole_rows; i < rows; ++i)
      for (std::int64_t j = 0; j < width; ++j) to[i * to_step + j] = from[i + j * from_step];
    if (streams) Stream<A>::finish();
  }

  const std::byte* from_;
  std::size_t rank_ = 0;
  std::int64_t sizes_[rank_max];      // outermost first
  std::int64_t from_step_[rank_max];  // in elements
  std::int64_t to_[rank_max];
  std::int64_t total_ = 1;
  std::size_t split_ = 0;  // the dimension that chunks share out, row by row
  std::int64_t split_size_ = 1;
  std::int64_t turned_ = -1;  // the dimension that lies in order; −1: none, or the innermost
  std::int64_t row_blocks_ = 1;
  std::int64_t column_blocks_ = 1;
};

}  // namespace troupe::cpu
