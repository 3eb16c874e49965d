#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

class Device;
struct Graph;

/// What the compiler of programs does to a captured graph, in this order. Each is one walk over the
/// graph, none changes a bit of what the program computes, and any may be left out.
enum class Pass : std::uint8_t {
  dead_code,              ///< ops that no output and no parameter depends on go
  views,                  ///< views of views become one; those that change nothing, none
  constant_folding,       ///< what depends on constants alone is computed once, now
  common_subexpressions,  ///< the same op on the same values is computed once; random ops never
  pooling,     ///< max pooling takes over the relu before it, a convolution the pooling behind it
  layout,      ///< images stay with channels last between convolutions that want them so
  updates,     ///< an update makes the last steps of its gradient itself
  fusion,      ///< chains of elementwise ops and casts of one shape become one launch each
  epilogues,   ///< a product goes on with the elementwise ops that follow it
  reductions,  ///< a chain goes on with the fold of its result
  packing,     ///< weights are laid out for their kernels once, for all that reads them
  recomputation,  ///< under a budget, what would wait too long is computed again
  memory_plan,    ///< a step's results get places in one stretch of memory
};
inline constexpr std::array all_passes{
    Pass::dead_code,
    Pass::views,
    Pass::constant_folding,
    Pass::common_subexpressions,
    Pass::pooling,
    Pass::layout,
    Pass::updates,
    Pass::fusion,
    Pass::epilogues,
    Pass::reductions,
    Pass::packing,
    Pass::recomputation,
    Pass::memory_plan};

/// "dead-code"
[[nodiscard]] std::string_view name_of(Pass pass) noexcept;
/// Throws `invalid_argument` listing the passes there are.
[[nodiscard]] Pass pass_named(std::string_view name);

/// Some of the passes.
class Passes {
 public:
  [[nodiscard]] static constexpr Passes none() noexcept { return Passes(0); }
  [[nodiscard]] static constexpr Passes all() noexcept {
    return Passes((1u << all_passes.size()) - 1);
  }
  /// Those up to this one.
  [[nodiscard]] static constexpr Passes until(Pass last) noexcept {
    return Passes((2u << static_cast<unsigned>(last)) - 1);
  }
  /// From words: "all" or "none", then names, each with a "-" before it to leave it out:
  /// "all,-fusion", "dead-code,views". Throws `invalid_argument` for others.
  [[nodiscard]] static Passes parse(std::string_view text);

  [[nodiscard]] constexpr bool contains(Pass pass) const noexcept {
    return bits_ >> static_cast<unsigned>(pass) & 1;
  }
  [[nodiscard]] constexpr Passes with(Pass pass) const noexcept {
    return Passes(bits_ | bit(pass));
  }
  [[nodiscard]] constexpr Passes without(Pass pass) const noexcept {
    return Passes(bits_ & ~bit(pass));
  }
  [[nodiscard]] std::string to_string() const;
  friend constexpr bool operator==(const Passes&, const Passes&) noexcept = default;

 private:
  explicit constexpr Passes(std::uint32_t bits) noexcept : bits_(bits) {}
  static constexpr std::uint32_t bit(Pass pass) noexcept {
    return 1u << static_cast<unsigned>(pass);
  }
  std::uint32_t bits_;
};

/// Runs the passes on a graph. Throws `out_of_memory`, naming the largest holders, for a budget
/// that no plan fits in.
///
/// @param memory_bytes  what a step's results on the program's own device may take together; 0: no
///                      budget
void run_passes(Graph& graph, Passes passes, std::uint64_t memory_bytes = 0);

}  // namespace troupe
