#pragma once

#include <troupe/autograd/graph.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe {

/// What of a step lies in memory of the step's own, and from which op to which, as the ops stand.
class Lifetimes {
 public:
  explicit Lifetimes(const Graph& graph);

  /// The cell whose memory a cell is seen in: itself, but for views.
  [[nodiscard]] Graph::Cell base_of(Graph::Cell cell) const noexcept { return base_[cell]; }
  /// Whether the cell has memory that is made for the step and ends with it: not what comes from
  /// outside or goes there, nor what updates make, nor what is small, nor what is on another device
  /// than the program.
  [[nodiscard]] bool is_planned(Graph::Cell cell) const noexcept { return planned_[cell]; }
  /// The last op that reads the cell or a view of it; the one that makes it, if none does.
  [[nodiscard]] std::uint32_t last_use(Graph::Cell base) const noexcept { return last_use_[base]; }
  /// For each op, the cells that end with it.
  [[nodiscard]] const std::vector<std::vector<Graph::Cell>>& ending() const noexcept {
    return ending_;
  }
  /// Bytes that a cell takes, with what aligns the next.
  [[nodiscard]] static std::uint64_t bytes_of(const Meta& meta) noexcept {
    return (meta.bytes() + 63) / 64 * 64;
  }

  struct Peak {
    std::uint64_t bytes = 0;
    std::uint32_t op = 0;  ///< while it runs
  };
  /// The most that is alive at once.
  [[nodiscard]] Peak peak() const;
  /// The cells that are alive while an op runs.
  [[nodiscard]] std::vector<Graph::Cell> alive_at(std::uint32_t op) const;

 private:
  const Graph& graph_;
  std::vector<Graph::Cell> base_;
  std::vector<bool> planned_;
  std::vector<std::uint32_t> last_use_;
  std::vector<std::vector<Graph::Cell>> ending_;
};

}  // namespace troupe
