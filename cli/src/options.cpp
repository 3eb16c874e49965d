#include "options.hpp"

#include <troupe/autograd/passes.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <limits>
#include <numeric>

namespace troupe::cli {

namespace {

constexpr const char* version = "troupe " TROUPE_VERSION;

/// "batch_size" → "--batch-size"
std::string option_of(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return "--" + name;
}

/// Lets pass what the field of a run's config may be.
CLI::Validator in_range(const std::string& field) {
  const FieldRange range = RunConfig::range(field);
  return CLI::Validator(
      [range](std::string& text) {
        if (!range.words.empty()) return range.fault(text);
        double number = 0;
        if (!CLI::detail::lexical_cast(text, number)) return "'" + text + "' is not a number";
        return range.fault(number);
      },
      range.text());
}

void add_machine(CLI::App& command, MachineOptions& machine) {
  command.add_option("--threads", machine.threads, "Threads to run on; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--device", machine.device, "Where to compute: see 'troupe devices'")
      ->capture_default_str();
  command.add_flag("--quiet,-q", machine.quiet, "Print errors and results only");
}

void add_gpt(CLI::App& command, RunConfig& config) {
  command.add_option("--context", config.context, "Of gpt: bytes that it sees at a time")
      ->check(in_range("context"))
      ->capture_default_str();
  command.add_option("--layers", config.layers, "Of gpt")
      ->check(in_range("layers"))
      ->capture_default_str();
  command.add_option("--width", config.width, "Of gpt: features of a place in the text")
      ->check(in_range("width"))
      ->capture_default_str();
  command.add_option("--heads", config.heads, "Of gpt, each attending with a part of the width")
      ->check(in_range("heads"))
      ->capture_default_str();
  command.add_option("--dropout", config.dropout, "Of gpt: share of activations left out")
      ->check(in_range("dropout"))
      ->capture_default_str();
  command.add_flag(
      "--tied,!--untied", config.tied, "Of gpt: scores come from the embedding's weights");
}

void add_cluster(CLI::App& command, ClusterOptions& options) {
  command
      .add_option(
          "--certs",
          options.certs,
          "Folder of authority.crt, NODE.crt and NODE.key; without, this machine only")
      ->type_name("DIR");
  command.add_option("--node", options.node, "Name of this process, as its certificate has it");
}

void add_train(CLI::App& command, TrainOptions& options) {
  RunConfig& config = options.config;
  command.add_option(
      "--data",
      config.data,
      "fashion-mnist, idx:DIR, cifar10:DIR, shapes10:DIR (made there if it is not), or text:FILE "
      "(plain or .gz)");
  command.add_option("--model", config.model, "mlp or cnn; of text, gpt. Default: cnn, or gpt")
      ->check(in_range("model"));
  command.add_option("--epochs", config.epochs, "Times to go through the data")
      ->check(in_range("epochs"))
      ->capture_default_str();
  command
      .add_option(
          "--batch-size",
          config.batch_size,
          "Images, or windows of text, in a batch. Default: 128, and 8 for gpt")
      ->check(in_range("batch_size"));
  command.add_option("--lr", config.lr, "Learning rate")
      ->check(in_range("lr"))
      ->capture_default_str();
  command.add_option("--optimizer", config.optimizer, "sgd, adam or adamw")
      ->check(in_range("optimizer"))
      ->capture_default_str();
  command.add_option("--momentum", config.momentum, "Of sgd")
      ->check(in_range("momentum"))
      ->capture_default_str();
  command.add_option("--weight-decay", config.weight_decay, "Default: 0, and 0.01 for adamw")
      ->check(in_range("weight_decay"));
  command
      .add_option(
          "--schedule",
          config.schedule,
          "Of the learning rate: constant, step (a tenth after each third), cosine, warmup-cosine")
      ->check(in_range("schedule"))
      ->capture_default_str();
  command.add_option("--clip", config.clip, "Bound on the norm of the gradients; 0: none")
      ->check(in_range("clip"))
      ->capture_default_str();
  command.add_option("--accumulate", config.accumulate, "Batches whose gradients make one step")
      ->check(in_range("accumulate"))
      ->capture_default_str();
  command
      .add_option(
          "--shards",
          config.shards,
          "Parts of each batch that are computed by themselves and added up; results depend on it")
      ->check(in_range("shards"))
      ->capture_default_str();
  command.add_option("--seed", config.seed, "Of weights, order and everything random")
      ->check(in_range("seed"))
      ->capture_default_str();
  command
      .add_option(
          "--precision",
          config.precision,
          "float32, or bf16: products in bfloat16, weights and all else in float32")
      ->check(in_range("precision"))
      ->capture_default_str();
  command.add_flag("--augment", config.augment, "Train on random crops and mirror images");
  command
      .add_option(
          "--limit",
          config.limit,
          "Use the first so many images, or windows of text, of each set; 0: all")
      ->check(in_range("limit"))
      ->capture_default_str();
  add_gpt(command, config);
  command.add_option(
      "--out", options.out, "Folder for the run; default: the first free runs/MODEL-N");
  command.add_option("--resume", options.resume, "Go on with the run in this folder");
  command
      .add_option(
          "--door",
          options.door,
          "program: capture the step once; define-by-run: call it anew. Same results")
      ->check(CLI::IsMember({"program", "define-by-run"}))
      ->capture_default_str();
  command.add_flag("--watch-nan", options.watch_nan, "Stop at the first NaN and name its op");
  command
      .add_option("--trace", options.trace, "Write a step's messages to FILE, for ui.perfetto.dev")
      ->type_name("FILE");
  command
      .add_option(
          "--profile",
          options.profile_page,
          "Tell where a step's time went, and write a page of it into FILE; default: into the run")
      ->type_name("FILE")
      ->expected(0, 1);
  add_machine(command, options.machine);
  command
      .add_option(
          "--fallback",
          options.fallback,
          "Where to go on, by itself, when the device is lost: one, or several in order: A,B")
      ->type_name("DEVICE")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option(
          "--commit-every",
          options.commit_every,
          "Steps between copies of the state in memory, from which a fallback goes on")
      ->check(CLI::Range(1.0, 1e9, "AT LEAST 1"))
      ->capture_default_str();
}

void add_peers(CLI::App& command, TrainOptions& options) {
  command
      .add_option(
          "--peers",
          options.peers,
          "Train with 'troupe peer' processes, which listen there: A:PORT,B:PORT")
      ->type_name("HOST:PORT")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_cluster(command, options.cluster);
  command
      .add_option(
          "--on-loss",
          options.on_loss,
          "When a peer is lost: continue with the rest, wait for it, or stop")
      ->check(CLI::IsMember({"continue", "wait", "stop"}))
      ->capture_default_str();
  command
      .add_option(
          "--join-timeout", options.join_seconds, "Seconds until all peers must have been reached")
      ->check(CLI::Range(0.1, 1e6, "0.1 TO 1000000"))
      ->capture_default_str();
}

void add_peer(CLI::App& command, PeerOptions& options) {
  command
      .add_option(
          "--listen",
          options.listen,
          "Where a leader reaches this process; port 0: any that is free")
      ->type_name("HOST:PORT")
      ->required();
  add_cluster(command, options.cluster);
  add_machine(command, options.machine);
  command
      .add_option(
          "--leader-timeout",
          options.leader_seconds,
          "Seconds to keep a run after its leader's end, for one that resumes it")
      ->check(CLI::Range(0.0, 1e6, "0 TO 1000000"))
      ->capture_default_str();
  command
      .add_option(
          "--rescue", options.rescue, "Folder to save a run in that no leader came back for")
      ->type_name("DIR")
      ->capture_default_str();
}

/// Defaults that depend on other options; and what the options come to together.
/// @returns  what is wrong with that, in words; empty when nothing is
std::string settle(TrainOptions& options) {
  RunConfig& config = options.config;
  const auto given = [&](const char* name) { return options.given.contains(name); };
  if (!given("model") && config.data.starts_with(text_prefix)) config.model = "gpt";
  if (!given("batch_size") && config.model == "gpt") config.batch_size = 8;
  if (options.peers.empty()) options.launch = launch_from_environment();
  if (!options.peers.empty() || options.launch) {
    const auto processes = options.launch ? static_cast<std::int64_t>(options.launch->world)
                                          : static_cast<std::int64_t>(options.peers.size()) + 1;
    if (!given("shards") && options.resume.empty()) config.shards = processes;
    if (options.resume.empty() && config.shards < processes)
      return std::to_string(config.shards) + " shards for " + std::to_string(processes) +
             " processes, this one counted: use --shards " + std::to_string(processes) + " or more";
    if (options.watch_nan || options.profile || !options.trace.empty() || !options.fallback.empty())
      return "--watch-nan, --profile, --trace and --fallback look at one process: not with --peers";
  }
  if (!options.resume.empty()) return "";  // the run's own config knows the model
  for (const std::string& name : options.given)
    if (!RunConfig::applies(name, config.model))
      return option_of(name) + " says nothing about the " + config.model;
  return config.fault();
}

void add_graph(CLI::App& command, GraphOptions& options) {
  RunConfig& config = options.config;
  command.add_option("run", options.run, "Folder of a run; default: a new model");
  command.add_option("--model", config.model, "mlp, cnn or gpt")
      ->check(in_range("model"))
      ->capture_default_str();
  command.add_option("--batch-size", config.batch_size, "Images, or windows of text, in a batch")
      ->check(in_range("batch_size"))
      ->capture_default_str();
  command.add_option("--optimizer", config.optimizer, "sgd, adam or adamw")
      ->check(in_range("optimizer"))
      ->capture_default_str();
  command.add_option("--precision", config.precision, "float32 or bf16")
      ->check(in_range("precision"))
      ->capture_default_str();
  command.add_flag("--eval", options.eval, "The step of testing, not of training");
  std::string passes;
  for (const Pass pass : all_passes)
    passes += (passes.empty() ? "" : ", ") + std::string(name_of(pass));
  command.add_option("--after", options.after, "Stop after this pass: " + passes)
      ->type_name("PASS");
  command.add_option("--svg", options.svg, "Draw it into FILE, for any browser")->type_name("FILE");
  add_machine(command, options.machine);
}

/// A message for an option, argument or command that is not known.
Answer unknown(
    const CLI::App& app, const CLI::App* command, const std::vector<std::string>& extra) {
  // The first that looks like an option tells most; its value was then left over as well.
  const auto is_option = [](const std::string& word) { return word.starts_with("-"); };
  const auto option = command || is_option(extra.front())
                          ? std::find_if(extra.begin(), extra.end(), is_option)
                          : extra.end();
  const std::string word = (option == extra.end() ? extra.front() : *option);
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> known;
  std::string what = "argument";
  if (option != extra.end()) {
    what = "option";
    for (const CLI::Option* one : (command ? *command : app).get_options())
      for (const std::string& long_name : one->get_lnames()) known.push_back("--" + long_name);
  } else if (!command) {
    what = "command";
    for (const CLI::App* one : app.get_subcommands(nullptr)) known.push_back(one->get_name());
  }
  const std::string near = nearest(name, known);
  const std::string help = command ? "troupe " + command->get_name() + " --help" : "troupe --help";
  return {
      "unknown " + what + " '" + name + "'",
      near.empty() ? help + " lists what there is" : "did you mean '" + near + "'? " + help,
      true};
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  // More than a third of the letters changed is another word.
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Levenshtein's distance, one row at a time.
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i + 1);
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t replaced = diagonal + (word[i] != candidate[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

namespace {

void add_certs(CLI::App& command, CertsOptions& init, CertsOptions& issue) {
  command.require_subcommand(1);
  const auto add = [&command](const char* name, const char* what, CertsOptions& options, int days) {
    CLI::App& part = *command.add_subcommand(name, what);
    options.days = days;
    part.add_option("--dir", options.dir, "Folder of the files")->capture_default_str();
    part.add_option("--days", options.days, "How long it is good")
        ->check(CLI::Range(1, 36'500))
        ->capture_default_str();
    return &part;
  };
  add("init", "Make the authority: authority.crt and authority.key", init, 3650)
      ->add_option("--cluster", init.cluster, "Name of the cluster")
      ->capture_default_str();
  CLI::App& part = *add("issue", "Make a node's NODE.crt and NODE.key", issue, 365);
  part.add_option("node", issue.node, "Name of the node")->required();
  part.add_option(
      "--host", issue.hosts, "Name or address by which others reach it; may come again");
}

}  // namespace

Command parse(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Trains small image classifiers and language models with Troupe, an engine built on actors.",
      "troupe");
  app.set_version_flag("--version", version);
  app.require_subcommand(0, 1);
  app.footer("'troupe COMMAND --help' tells the options of a command.");

  TrainOptions train;
  CLI::App& train_command = *app.add_subcommand("train", "Train a model, or go on training one");
  add_train(train_command, train);
  add_peers(train_command, train);

  EvalOptions eval;
  CLI::App& eval_command =
      *app.add_subcommand("eval", "Loss and accuracy, or bits per byte, of a trained model");
  eval_command.add_option("run", eval.run, "Folder of the run")->required();
  eval_command.add_option("--data", eval.data, "Default: what the run was trained on");
  eval_command
      .add_option("--limit", eval.limit, "Use the first so many images, or windows of text; 0: all")
      ->check(in_range("limit"))
      ->capture_default_str();
  eval_command
      .add_option(
          "--batch-size",
          eval.batch_size,
          "Images, or windows of text, in a batch. Default: 256, and 32 for gpt")
      ->check(in_range("batch_size"));
  add_machine(eval_command, eval.machine);

  PredictOptions predict;
  CLI::App& predict_command =
      *app.add_subcommand("predict", "Show images and what a trained model takes them for");
  predict_command.add_option("run", predict.run, "Folder of the run")->required();
  predict_command.add_option("images", predict.images, "IDX file of images, plain or .gz")
      ->required();
  predict_command.add_option("--count", predict.count, "Images to show")
      ->check(CLI::Range(1.0, 1e15, "AT LEAST 1"))
      ->capture_default_str();
  predict_command.add_option("--first", predict.first, "Number of the first image, from 0")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_machine(predict_command, predict.machine);

  GenerateOptions generate;
  CLI::App& generate_command =
      *app.add_subcommand("generate", "Have a trained gpt go on with a text");
  generate_command.add_option("run", generate.run, "Folder of the run")->required();
  generate_command.add_option("--prompt", generate.prompt, "What the text begins with");
  generate_command.add_option("--tokens", generate.tokens, "Bytes to add")
      ->check(CLI::Range(1.0, 1e15, "AT LEAST 1"))
      ->capture_default_str();
  generate_command
      .add_option(
          "--temperature",
          generate.temperature,
          "Below 1 keeps to what is likely, 0 always takes the likeliest")
      ->check(CLI::Range(0.0, 100.0, "0 TO 100"))
      ->capture_default_str();
  generate_command
      .add_option("--top-k", generate.top_k, "Draw from so many of the likeliest bytes; 0: all")
      ->check(CLI::Range(0.0, 1e15, "AT LEAST 0"))
      ->capture_default_str();
  generate_command.add_option("--seed", generate.seed, "The same seed gives the same text")
      ->check(in_range("seed"))
      ->capture_default_str();
  add_machine(generate_command, generate.machine);

  GraphOptions graph;
  CLI::App& graph_command = *app.add_subcommand(
      "graph", "A model's step as the compiler of programs makes it, in words or as a picture");
  add_graph(graph_command, graph);

  CLI::App& devices_command = *app.add_subcommand("devices", "What there is to compute on");
  DoctorOptions doctor;
  CLI::App& doctor_command =
      *app.add_subcommand("doctor", "What this machine can, and what is missing");
  doctor_command.add_flag(
      "--limits", doctor.limits, "Measure how fast it can at best, in a few seconds");

  CertsOptions init;
  CertsOptions issue;
  CLI::App& certs_command =
      *app.add_subcommand("certs", "Make a cluster's authority, and certificates of its nodes");
  add_certs(certs_command, init, issue);

  PeerOptions peer;
  add_peer(
      *app.add_subcommand("peer", "Let this machine take part in the training of another"), peer);

  const auto used = [&]() -> const CLI::App* {
    const auto commands = app.get_subcommands();
    return commands.empty() ? nullptr : commands.front();
  };
  app.allow_extras();
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    command->allow_extras();
    for (CLI::App* part : command->get_subcommands(nullptr)) part->allow_extras();
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return Answer{app.help(), "", false};
  } catch (const CLI::CallForVersion&) {
    return Answer{std::string(version) + "\n", "", false};
  } catch (const CLI::ParseError& error) {
    // A misspelt option often leaves another one missing: name the cause.
    if (const auto extra = app.remaining(true); !extra.empty()) return unknown(app, used(), extra);
    const CLI::App* command = used();
    return Answer{
        error.what(),
        std::string("troupe ") + (command ? command->get_name() + " " : "") + "--help",
        true};
  }
  if (const auto extra = app.remaining(true); !extra.empty()) return unknown(app, used(), extra);

  if (train_command.parsed()) {
    for (const std::string& name : RunConfig::names())
      if (train_command.get_option(option_of(name))->count() > 0) train.given.insert(name);
    train.profile = train_command.get_option("--profile")->count() > 0;
    if (train.resume.empty() && train.config.data.empty())
      return Answer{
          "--data is missing",
          "troupe train --data fashion-mnist, or --resume with a run's folder",
          true};
    if (const std::string fault = settle(train); !fault.empty())
      return Answer{fault, "troupe train --help tells what each is for", true};
    if (!train.resume.empty() && !train.out.empty())
      return Answer{
          "--resume and --out exclude each other", "a resumed run stays in its folder", true};
    return train;
  }
  if (app.got_subcommand("peer")) return peer;
  if (eval_command.parsed()) return eval;
  if (predict_command.parsed()) return predict;
  if (generate_command.parsed()) return generate;
  if (graph_command.parsed()) return graph;
  if (devices_command.parsed()) return DevicesOptions{};
  if (doctor_command.parsed()) return doctor;
  if (certs_command.parsed()) return certs_command.got_subcommand("init") ? init : issue;
  return Answer{app.help(), "", false};
}

}  // namespace troupe::cli
