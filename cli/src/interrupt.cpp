#include "interrupt.hpp"

#include <unistd.h>

#include <csignal>
#include <string_view>

namespace troupe::cli {

namespace {

// A handler can reach nothing but what is static.
volatile std::sig_atomic_t interrupts = 0;  // NOLINT: see above
volatile std::sig_atomic_t silent = 0;      // NOLINT: see above
std::string_view texts[2];                  // NOLINT: see above; set before the handler

void say(std::string_view text) {
  // Nothing else of the kind is allowed in a handler; if it fails there is nobody to tell.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void on_signal(int) {
  interrupts = interrupts + 1;
  if (interrupts > 1) {
    say(texts[1]);
    ::_exit(Interrupt::exit_code);
  }
  if (!silent) say(texts[0]);
}

void set_handler(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

Interrupt::Interrupt(bool quiet, std::string_view first, std::string_view second) {
  texts[0] = first;
  texts[1] = second;
  silent = quiet;
  interrupts = 0;
  set_handler(&on_signal);
}
Interrupt::~Interrupt() { set_handler(SIG_DFL); }

bool Interrupt::requested() noexcept { return interrupts > 0; }

}  // namespace troupe::cli
