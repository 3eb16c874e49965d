#pragma once

#include "launch.hpp"
#include "run_config.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe::cli {

/// How a command runs, with no bearing on what comes out.
struct MachineOptions {
  unsigned threads = 0;  ///< 0: one for each core
  std::string device = "cpu";
  bool quiet = false;
};

/// How a process finds the others of its cluster, and proves who it is.
struct ClusterOptions {
  std::string certs;  ///< folder of authority.crt, NODE.crt and NODE.key; empty: this machine only
  std::string node;   ///< empty: the certificate's name, or what the command chooses
};

struct TrainOptions {
  RunConfig config;
  std::set<std::string> given;  ///< names of the config's fields that the command line set
  MachineOptions machine;
  std::string out;
  std::string resume;
  std::string door = "program";
  std::vector<std::string> fallback;  ///< devices to go on with when one is lost
  std::int64_t commit_every = 100;
  bool watch_nan = false;
  std::string trace;
  bool profile = false;
  std::string profile_page;        ///< a file; empty: profile.html in the run's folder
  std::vector<std::string> peers;  ///< where they listen; empty: this process alone
  std::optional<Launch> launch;    ///< by a launcher, which named no peers
  ClusterOptions cluster;
  std::string on_loss = "continue";
  double join_seconds = 30;
};

struct PeerOptions {
  std::string listen;
  ClusterOptions cluster;
  MachineOptions machine;
  std::optional<Launch> launch;  ///< of one run, whose leader this process looks for
  double join_seconds = 30;
  double leader_seconds = 60;      ///< what a run came to is kept so long after its leader's end
  std::string rescue = "rescued";  ///< folder for what nobody came back for
};

struct EvalOptions {
  std::string run;
  std::string data;  ///< empty: the run's own
  std::int64_t limit = 0;
  std::int64_t batch_size = 0;  ///< 0: what suits the data
  MachineOptions machine;
};

struct PredictOptions {
  std::string run;
  std::string images;
  std::int64_t count = 8;
  std::int64_t first = 0;
  MachineOptions machine;
};

struct GenerateOptions {
  std::string run;
  std::string prompt;
  std::int64_t tokens = 200;
  double temperature = 0.8;
  std::int64_t top_k = 40;
  std::int64_t seed = 0;
  MachineOptions machine;
};

struct GraphOptions {
  RunConfig config;
  std::string run;    ///< empty: a model of the config's
  std::string after;  ///< the last pass; empty: all that are chosen
  std::string svg;    ///< a file; empty: words
  bool eval = false;
  MachineOptions machine;
};

struct DevicesOptions {};
struct DoctorOptions {
  bool limits = false;
};

struct CertsOptions {
  std::string dir = "certs";
  std::string cluster = "cluster";  ///< of `init`
  std::string node;                 ///< of `issue`; empty: `init`
  std::vector<std::string> hosts;   ///< of `issue`
  int days = 0;
};

/// The command line held no command: help or version to be printed, or a mistake.
struct Answer {
  std::string text;
  std::string hint;
  bool mistake = false;
};

using Command = std::variant<
    TrainOptions,
    EvalOptions,
    PredictOptions,
    GenerateOptions,
    GraphOptions,
    DevicesOptions,
    DoctorOptions,
    CertsOptions,
    PeerOptions,
    Answer>;

/// Reads the command line, without the program's own name.
[[nodiscard]] Command parse(const std::vector<std::string>& arguments);

/// The candidate that needs the fewest changes to become `word`; empty when none is near.
[[nodiscard]] std::string nearest(
    std::string_view word, const std::vector<std::string>& candidates);

}  // namespace troupe::cli
