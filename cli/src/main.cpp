#include "certs.hpp"
#include "console.hpp"
#include "devices.hpp"
#include "doctor.hpp"
#include "eval.hpp"
#include "generate.hpp"
#include "graph.hpp"
#include "options.hpp"
#include "peer.hpp"
#include "predict.hpp"
#include "train.hpp"

#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace {

using namespace troupe;
using namespace troupe::cli;

int run(const Command& command, Console& console) {
  return std::visit(
      [&]<class Options>(const Options& options) {
        if constexpr (requires { options.machine.quiet; }) console.set_quiet(options.machine.quiet);
        if constexpr (std::is_same_v<Options, TrainOptions>) {
          if (options.launch && options.launch->rank > 0)
            return peer(peer_options(options), console);
          return train(options, console);
        } else if constexpr (std::is_same_v<Options, EvalOptions>) {
          return eval(options, console);
        } else if constexpr (std::is_same_v<Options, PredictOptions>) {
          return predict(options, console);
        } else if constexpr (std::is_same_v<Options, GenerateOptions>) {
          return generate(options, console);
        } else if constexpr (std::is_same_v<Options, GraphOptions>) {
          return graph(options, console);
        } else if constexpr (std::is_same_v<Options, DevicesOptions>) {
          return devices(console);
        } else if constexpr (std::is_same_v<Options, DoctorOptions>) {
          return doctor(options, console);
        } else if constexpr (std::is_same_v<Options, CertsOptions>) {
          return certs(options, console);
        } else if constexpr (std::is_same_v<Options, PeerOptions>) {
          return peer(options, console);
        } else {
          if (options.mistake) {
            console.complain(options.text, options.hint);
            return 2;
          }
          console.print(options.text);
          return 0;
        }
      },
      command);
}

}  // namespace

/// Exit codes: 0; 1 for an error, told in one block; 2 for a command line that is none; 130 after
/// Ctrl-C.
int main(int argc, char** argv) {
  Console console = Console::of_process();
  try {
    return run(parse(std::vector<std::string>(argv + 1, argv + argc)), console);
  } catch (const Error& error) {
    console.complain(error);
  } catch (const std::bad_alloc&) {
    console.complain("out of memory", "a smaller --batch-size or --model needs less");
  } catch (const std::exception& error) {
    console.complain(error.what(), "this is a bug in Troupe; please report it");
  }
  return 1;
}
