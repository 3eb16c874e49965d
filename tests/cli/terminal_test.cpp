#include "console.hpp"
#include "program.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <utility>

// Runs the real program on a terminal of its own: what `Console::of_process` finds out there.
namespace troupe::cli::test {
namespace {

using Words = std::vector<std::string>;

struct Terminal {
  Words environment = {"TERM=xterm"};  ///< beside what this process has, but for NO_COLOR
  unsigned short columns = 100;
};

/// Both streams in the order in which they were written, and the exit code.
struct Seen {
  int code = -1;
  std::string text;
};

Seen run_on(const Terminal& terminal, const Folder& folder, const Words& arguments) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(master >= 0);
  REQUIRE(::grantpt(master) == 0);
  REQUIRE(::unlockpt(master) == 0);
  const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  REQUIRE(slave >= 0);
  termios settings{};
  ::tcgetattr(slave, &settings);
  ::cfmakeraw(&settings);  // so that "\n" stays what it is
  ::tcsetattr(slave, TCSANOW, &settings);
  winsize size{};
  size.ws_row = 24;
  size.ws_col = terminal.columns;
  ::ioctl(slave, TIOCSWINSZ, &size);

  std::vector<char*> words{const_cast<char*>(TROUPE_PROGRAM)};
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::unsetenv("NO_COLOR");
    for (const std::string& variable : terminal.environment)
      ::putenv(const_cast<char*>(variable.c_str()));
    const bool ready = ::chdir(folder.path().c_str()) == 0 && ::dup2(slave, STDOUT_FILENO) >= 0 &&
                       ::dup2(slave, STDERR_FILENO) >= 0;
    if (ready) ::execv(TROUPE_PROGRAM, words.data());
    ::_exit(127);
  }
  ::close(slave);
  Seen seen;
  char piece[4096];
  // Ends with EIO when the program, the last to hold the other side, is gone.
  for (ssize_t count = 0; (count = ::read(master, piece, sizeof piece)) > 0;)
    seen.text.append(piece, static_cast<std::size_t>(count));
  ::close(master);
  int status = 0;
  ::waitpid(child, &status, 0);
  seen.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return seen;
}

struct Fixture {
  Fixture() : folder("terminal") { write_idx_folder(folder / "data", 600, 100); }
  [[nodiscard]] Seen train(const Terminal& terminal) const {
    return run_on(
        terminal,
        folder,
        {"train",
         "--data",
         "idx:data",
         "--model",
         "mlp",
         "--epochs",
         "2",
         "--batch-size",
         "8",
         "--out",
         "a"});
  }
  Folder folder;
};

std::string without(std::string text, const std::string& part) {
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos;)
    text.erase(at, part.size());
  return text;
}

}  // namespace

TEST_CASE("on a terminal the line of progress is drawn over itself", "[cli]") {
  const Fixture fixture;
  const Seen seen = fixture.train({});
  CAPTURE(seen.text);
  REQUIRE(seen.code == 0);
  // Epoch 1/5  45%|████▌     | 211/469 [00:01<00:01, 190.3it/s, loss=0.4312]
  const std::regex line(
      "\rEpoch 1/2 +[0-9]+%\\|(█|▏|▎|▍|▌|▋|▊|▉| )+\\| [0-9]+/75 "
      "\\[[0-9]{2}:[0-9]{2}<([0-9]{2}:[0-9]{2}|\\?), [0-9.?]+(it/s|s/it)(, loss=[0-9]+\\.[0-9]{4})?"
      "\\]\x1b\\[K");
  CHECK(std::regex_search(seen.text, line));
  CHECK(seen.text.find("\rEpoch 2/2 100%|██████████| 75/75 [") != std::string::npos);
  CHECK(seen.text.find("\rTest  1/2 100%|██████████| 13/13 [") != std::string::npos);
  // What comes after a drawn line begins on one of its own.
  CHECK(seen.text.find("\x1b[K\nepoch 1: train loss ") != std::string::npos);
}

TEST_CASE("the line of progress is no wider than the terminal", "[cli]") {
  const Fixture fixture;
  const Seen seen = fixture.train({.columns = 50});
  REQUIRE(seen.code == 0);
  std::size_t at = 0;
  int drawn = 0;
  for (; (at = seen.text.find('\r', at)) != std::string::npos; ++at, ++drawn)
    CHECK(seen.text.find("\x1b[K", at) - at - 1 <= 50);  // the bar is left out, so all is ASCII
  CHECK(drawn > 2);
}

TEST_CASE("a dumb terminal gets plain lines", "[cli]") {
  const Fixture fixture;
  const Seen seen = fixture.train({.environment = {"TERM=dumb"}});
  CAPTURE(seen.text);
  CHECK(seen.code == 0);
  CHECK(seen.text.find_first_of("\r\x1b") == std::string::npos);
  CHECK(seen.text.find("epoch 2: train loss ") != std::string::npos);
}

TEST_CASE("NO_COLOR leaves the drawing and takes the colours", "[cli]") {
  const Fixture fixture;
  const Terminal plain{.environment = {"TERM=xterm", "NO_COLOR=1"}};
  const Seen trained = fixture.train(plain);
  CHECK(trained.code == 0);
  CHECK(trained.text.find("\rEpoch 1/2 ") != std::string::npos);
  CHECK(without(trained.text, "\x1b[K").find('\x1b') == std::string::npos);

  const Words predict = {"predict", "a", "data/t10k-images-idx3-ubyte", "--count", "1"};
  CHECK(run_on({}, fixture.folder, predict).text.find("\x1b[") != std::string::npos);
  const Seen grey = run_on(plain, fixture.folder, predict);
  CHECK(grey.code == 0);
  CHECK(grey.text.starts_with("image 0\n"));
  CHECK(grey.text.find('\x1b') == std::string::npos);

  const Words mistake = {"trian"};
  CHECK(run_on({}, fixture.folder, mistake).text.starts_with("\x1b[1;31merror:\x1b[0m "));
  CHECK(run_on(plain, fixture.folder, mistake).text.starts_with("error: "));
  // As the convention has it, an empty variable is as good as none.
  const Terminal empty{.environment = {"TERM=xterm", "NO_COLOR="}};
  CHECK(run_on(empty, fixture.folder, mistake).text.starts_with("\x1b[1;31merror:"));
}

}  // namespace troupe::cli::test
