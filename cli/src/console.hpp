#pragma once

#include <troupe/core/error.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace troupe::cli {

/// "1 thread", "2 threads"
[[nodiscard]] std::string counted(std::size_t count, std::string_view what);

/// Where the program's words go: results to standard output, all else to standard error.
///
/// Threads   the main one; say() from any.
class Console {
 public:
  using Sink = std::function<void(std::string_view text)>;

  struct Options {
    bool quiet = false;     ///< errors and results only
    bool terminal = false;  ///< standard error is one: lines may be drawn over
    bool colour = false;    ///< on both
    std::size_t width = 80;
  };

  Console(Sink out, Sink err, Options options)
      : out_(std::move(out)), err_(std::move(err)), options_(options) {}
  /// The process's own streams, as they and the environment (NO_COLOR, TERM) ask for.
  [[nodiscard]] static Console of_process();

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  void set_quiet(bool quiet) noexcept { options_.quiet = quiet; }

  /// What was asked for; printed in any case.
  void print(std::string_view text) { out_(text); }
  /// A line about what goes on; not when quiet.
  void say(std::string_view line);
  /// Draws text, a line or several, over what `draw` drew before, without ending the last line.
  /// Only on a terminal.
  void draw(std::string_view text);
  /// Ends what was drawn.
  void end_drawing();
  /// One block: "error: …" with what is known of it below.
  void complain(const Error& error);
  void complain(std::string_view message, std::string_view hint = {});

 private:
  Sink out_;
  Sink err_;
  Options options_;
  std::string drawing_;              // kept, so that a steady step takes no memory for it
  std::atomic<int> drawn_lines_{0};  // the system logs from any thread
};

}  // namespace troupe::cli
