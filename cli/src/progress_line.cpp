#include "progress_line.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace troupe::cli {

namespace {

constexpr int bar_width = 10;

/// Text in a fixed buffer; what does not fit is cut off.
class Writer {
 public:
  explicit Writer(std::span<char> buffer) : buffer_(buffer) {}

  template <class... Args>
  void add(const char* format, Args... args) {
    const std::size_t left = buffer_.size() - size_;
    const int wanted = std::snprintf(buffer_.data() + size_, left, format, args...);
    if (wanted > 0) size_ = std::min(buffer_.size() - 1, size_ + static_cast<std::size_t>(wanted));
  }
  [[nodiscard]] std::string_view text() const { return {buffer_.data(), size_}; }
  void cut(std::size_t size) { size_ = size; }

 private:
  std::span<char> buffer_;
  std::size_t size_ = 0;
};

/// 00:07, 03:25, 1:02:03
void add_time(Writer& to, double seconds) {
  if (!std::isfinite(seconds)) return to.add("?");
  const auto all = static_cast<long long>(seconds);
  if (all >= 3600)
    to.add("%lld:%02lld:%02lld", all / 3600, all / 60 % 60, all % 60);
  else
    to.add("%02lld:%02lld", all / 60, all % 60);
}

void add_bar(Writer& to, double fraction, bool complete) {
  static constexpr const char* eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  int filled = static_cast<int>(std::lround(fraction * bar_width * 8));
  if (!complete) filled = std::min(filled, bar_width * 8 - 1);
  for (int i = 0; i < filled / 8; ++i) to.add("█");
  to.add("%s", eighths[filled % 8]);
  const int columns = (filled + 7) / 8;
  to.add("%*s", bar_width - columns, "");
}

void add_details(Writer& to, const ProgressState& state) {
  const auto done_here = static_cast<double>(state.done - state.before);
  const double rate = state.seconds > 0 ? done_here / state.seconds : 0;
  to.add(" [");
  add_time(to, state.seconds);
  to.add("<");
  add_time(to, static_cast<double>(state.total - state.done) / rate);
  // A step of more than a second is told by its length.
  if (rate <= 0)
    to.add(", ?it/s");
  else if (rate < 1)
    to.add(", %.2fs/it", 1 / rate);
  else
    to.add(", %.1fit/s", rate);
  if (state.loss && std::isnan(*state.loss))
    to.add(", loss=nan");  // printf would tell its sign, which means nothing
  else if (state.loss)
    to.add(", loss=%.4f", *state.loss);
  to.add("]");
}

/// Columns on a terminal: bytes but those that continue a character.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string_view format_progress(
    const ProgressState& state, std::size_t width, std::span<char> buffer) {
  const double fraction =
      state.total > 0 ? static_cast<double>(state.done) / static_cast<double>(state.total) : 0;
  const bool complete = state.done >= state.total;
  int percent = static_cast<int>(std::lround(fraction * 100));
  if (!complete) percent = std::min(percent, 99);

  for (const bool with_bar : {true, false}) {
    Writer line(buffer);
    line.add("%.*s %3d%%", static_cast<int>(state.label.size()), state.label.data(), percent);
    if (with_bar) {
      line.add("|");
      add_bar(line, fraction, complete);
      line.add("|");
    }
    line.add(" %lld/%lld", static_cast<long long>(state.done), static_cast<long long>(state.total));
    const std::size_t counts = line.text().size();
    add_details(line, state);
    if (columns(line.text()) <= width) return line.text();
    if (with_bar) continue;
    // ASCII alone without the bar, but perhaps for the label: cut by columns all the same.
    line.cut(counts);
    std::string_view text = line.text();
    while (columns(text) > width) text.remove_suffix(1);
    return text;
  }
  return {};
}

}  // namespace troupe::cli
