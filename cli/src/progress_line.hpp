#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace troupe::cli {

/// What a progress line says.
struct ProgressState {
  std::string_view label;  ///< "Epoch 1/5"
  std::int64_t done = 0;
  std::int64_t total = 0;
  double seconds = 0;            ///< spent on what is done, but for what was done before
  std::int64_t before = 0;       ///< of `done`, what an earlier run did: tqdm's `initial`
  std::optional<double> loss{};  ///< left out while none is known
};

/// Writes a line in the manner of tqdm into `buffer`, at most `width` columns of it:
///
///     Epoch 1/5  45%|████▌     | 211/469 [00:01<00:01, 190.3it/s, loss=0.4312]
///
/// What does not fit is left out: the bar first, then what is behind the counts.
[[nodiscard]] std::string_view format_progress(
    const ProgressState& state, std::size_t width, std::span<char> buffer);

/// Says when a line is worth drawing anew: ten times a second, and at the end.
class Redraw {
 public:
  [[nodiscard]] bool due(std::int64_t now_ns, bool last) noexcept {
    if (!last && drawn_ && now_ns - drawn_at_ns_ < interval_ns) return false;
    drawn_ = true;
    drawn_at_ns_ = now_ns;
    return true;
  }

 private:
  static constexpr std::int64_t interval_ns = 100'000'000;
  std::int64_t drawn_at_ns_ = 0;
  bool drawn_ = false;
};

}  // namespace troupe::cli
