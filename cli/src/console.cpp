#include "console.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace troupe::cli {

std::string counted(std::size_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

namespace {

/// Writes past buffers, which would allocate. What cannot be written is given up.
void write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

[[nodiscard]] bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

[[nodiscard]] std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

Console Console::of_process() {
  const char* term = std::getenv("TERM");
  const bool dumb = term && std::string_view(term) == "dumb";
  Options options;
  options.terminal = ::isatty(STDERR_FILENO) && !dumb;
  options.colour = ::isatty(STDOUT_FILENO) && !dumb && !is_set("NO_COLOR");
  options.width = terminal_width();
  return {
      [](std::string_view text) { write_all(STDOUT_FILENO, text); },
      [](std::string_view text) { write_all(STDERR_FILENO, text); },
      options};
}

void Console::say(std::string_view line) {
  if (options_.quiet) return;
  end_drawing();
  err_(line);
  err_("\n");
}

void Console::draw(std::string_view text) {
  if (options_.quiet || !options_.terminal) return;
  // Back to the first of the lines that were drawn before.
  const int before = drawn_lines_.exchange(0);
  std::string& out = drawing_;
  out.clear();
  if (before > 1) out.append("\x1b[").append(std::to_string(before - 1)).append("A");
  int lines = 0;
  for (std::size_t begin = 0; begin <= text.size(); ++lines) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out += lines > 0 ? "\n\r" : "\r";
    out += text.substr(begin, end - begin);
    out += "\x1b[K";  // clears what a longer line left behind
    begin = end + 1;
  }
  if (lines < before) out += "\x1b[J";  // and the lines that are not drawn any more
  err_(out);
  drawn_lines_ = lines;
}

void Console::end_drawing() {
  if (drawn_lines_.exchange(0) > 0) err_("\n");
}

void Console::complain(const Error& error) {
  std::string text;
  if (!error.op().empty()) text += error.op() + ": ";
  text += error.message();
  if (!error.file().empty())
    text += "\n  built at " + error.file() + ":" + std::to_string(error.line());
  if (!error.actor().empty()) text += "\n  in actor " + error.actor();
  if (error.step() >= 0) text += "\n  in step " + std::to_string(error.step());
  complain(text, error.hint());
}

void Console::complain(std::string_view message, std::string_view hint) {
  end_drawing();
  const bool colour = options_.terminal && options_.colour;
  std::string text = colour ? "\x1b[1;31merror:\x1b[0m " : "error: ";
  text += message;
  if (!hint.empty()) {
    text += "\n  hint: ";
    text += hint;
  }
  err_(text + "\n");
}

}  // namespace troupe::cli
