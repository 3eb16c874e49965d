#include "options.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sstream>
#include <string>

namespace troupe::cli {
namespace {

std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> list;
  for (std::string word; stream >> word;) list.push_back(word);
  return list;
}

Command parsed(const std::string& line) { return parse(words(line)); }

Answer mistake(const std::string& line) {
  const Command command = parsed(line);
  CAPTURE(line);
  REQUIRE(std::holds_alternative<Answer>(command));
  CHECK(std::get<Answer>(command).mistake);
  CHECK_FALSE(std::get<Answer>(command).hint.empty());
  return std::get<Answer>(command);
}

TEST_CASE("the README's command is understood", "[cli]") {
  const Command command = parsed(
      "train --data fashion-mnist --model cnn --epochs 5 --batch-size 128 --lr 1e-3 "
      "--optimizer adam --seed 7 --threads 2 --out runs/a");
  REQUIRE(std::holds_alternative<TrainOptions>(command));
  const auto& options = std::get<TrainOptions>(command);
  CHECK(options.config.data == "fashion-mnist");
  CHECK(options.config.model == "cnn");
  CHECK(options.config.epochs == 5);
  CHECK(options.config.batch_size == 128);
  CHECK(options.config.lr == 1e-3);
  CHECK(options.config.optimizer == "adam");
  CHECK(options.config.seed == 7);
  CHECK(options.machine.threads == 2);
  CHECK(options.out == "runs/a");
  CHECK(options.door == "program");
  CHECK(
      options.given ==
      std::set<std::string>{"data", "model", "epochs", "batch_size", "lr", "optimizer", "seed"});
}

TEST_CASE("a profile's file may be left out", "[cli]") {
  const auto named = std::get<TrainOptions>(parsed("train --data d --profile a.html --epochs 2"));
  CHECK(named.profile);
  CHECK(named.profile_page == "a.html");
  const auto unnamed = std::get<TrainOptions>(parsed("train --data d --profile --epochs 2"));
  CHECK(unnamed.profile);
  CHECK(unnamed.profile_page.empty());
  CHECK(unnamed.config.epochs == 2);
}

TEST_CASE("every other option of train is understood", "[cli]") {
  const auto options = std::get<TrainOptions>(parsed(
      "train --data shapes10:d --model mlp --optimizer sgd --momentum 0.9 --weight-decay 0.1 "
      "--schedule cosine --clip 1 --accumulate 2 --shards 4 --augment --limit 100 "
      "--door define-by-run "
      "--watch-nan --trace step.json --quiet --device cpu --fallback vulkan:1,cpu "
      "--commit-every 20"));
  CHECK(options.config.momentum == 0.9);
  CHECK(options.config.weight_decay == 0.1);
  CHECK(options.config.schedule == "cosine");
  CHECK(options.config.clip == 1);
  CHECK(options.config.accumulate == 2);
  CHECK(options.config.shards == 4);
  CHECK(options.config.augment);
  CHECK(options.config.limit == 100);
  CHECK(options.door == "define-by-run");
  CHECK(options.watch_nan);
  CHECK(options.trace == "step.json");
  CHECK_FALSE(options.profile);
  CHECK(options.machine.quiet);
  CHECK(options.machine.device == "cpu");
  CHECK(options.fallback == std::vector<std::string>{"vulkan:1", "cpu"});
  CHECK(options.commit_every == 20);
}

TEST_CASE("a gpt and its options are understood", "[cli]") {
  const auto options = std::get<TrainOptions>(
      parsed("train --data text:book.txt --model gpt --context 64 --layers 6 --width 96 --heads 3 "
             "--dropout 0.2 --untied --batch-size 4"));
  CHECK(options.config.data == "text:book.txt");
  CHECK(options.config.model == "gpt");
  CHECK(options.config.context == 64);
  CHECK(options.config.layers == 6);
  CHECK(options.config.width == 96);
  CHECK(options.config.heads == 3);
  CHECK(options.config.dropout == 0.2);
  CHECK_FALSE(options.config.tied);
  CHECK(options.config.batch_size == 4);
  CHECK(options.given.contains("tied"));
  CHECK(std::get<TrainOptions>(parsed("train --data text:b --tied")).config.tied);

  const auto generate = std::get<GenerateOptions>(
      parsed("generate runs/a --prompt Once --tokens 9 --temperature 0 --top-k 5 --seed 3"));
  CHECK(generate.run == "runs/a");
  CHECK(generate.prompt == "Once");
  CHECK(generate.tokens == 9);
  CHECK(generate.temperature == 0);
  CHECK(generate.top_k == 5);
  CHECK(generate.seed == 3);
}

TEST_CASE("defaults follow the data and the model", "[cli]") {
  const auto config = [](const std::string& line) {
    return std::get<TrainOptions>(parsed(line)).config;
  };
  CHECK(config("train --data text:b").model == "gpt");
  CHECK(config("train --data text:b").batch_size == 8);
  CHECK(config("train --data text:b --batch-size 128").batch_size == 128);
  CHECK(config("train --data idx:d").model == "cnn");
  CHECK(config("train --data idx:d").batch_size == 128);
}

TEST_CASE("options that do not fit each other are mistakes", "[cli]") {
  CHECK(
      mistake("train --data text:b --model cnn").text ==
      "the cnn is for images, and 'text:b' is text: use --model gpt");
  CHECK(
      mistake("train --data idx:d --model gpt").text.find("use --data text:FILE") !=
      std::string::npos);
  CHECK(mistake("train --data idx:d --layers 3").text == "--layers says nothing about the cnn");
  CHECK(mistake("train --data idx:d --untied").text == "--tied says nothing about the cnn");
  CHECK(mistake("train --data text:b --augment").text == "--augment says nothing about the gpt");
  CHECK(
      mistake("train --data text:b --heads 3").text == "a width of 256 does not part into 3 heads");
  // A run that is gone on with knows its model itself.
  CHECK(std::holds_alternative<TrainOptions>(parsed("train --resume a --layers 3")));
}

TEST_CASE("the other commands are understood", "[cli]") {
  const auto eval = std::get<EvalOptions>(parsed("eval runs/a --data idx:d --limit 10"));
  CHECK(eval.run == "runs/a");
  CHECK(eval.data == "idx:d");
  CHECK(eval.limit == 10);
  const auto predict = std::get<PredictOptions>(parsed("predict runs/a x.idx --count 3 --first 5"));
  CHECK(predict.run == "runs/a");
  CHECK(predict.images == "x.idx");
  CHECK(predict.count == 3);
  CHECK(predict.first == 5);
  CHECK(std::holds_alternative<DevicesOptions>(parsed("devices")));
  CHECK(!std::get<DoctorOptions>(parsed("doctor")).limits);
  CHECK(std::get<DoctorOptions>(parsed("doctor --limits")).limits);
  const auto init = std::get<CertsOptions>(parsed("certs init --cluster c --dir d"));
  CHECK((init.node.empty() && init.cluster == "c" && init.dir == "d" && init.days == 3650));
  const auto issue = std::get<CertsOptions>(parsed("certs issue a --host h --host 192.0.2.7"));
  CHECK((issue.node == "a" && issue.hosts.size() == 2 && issue.dir == "certs"));
  CHECK(issue.days == 365);
  CHECK(std::get<Answer>(parsed("certs")).mistake);
  CHECK(std::get<Answer>(parsed("certs issue")).mistake);
  CHECK(std::get<Answer>(parsed("certs init --days 0")).mistake);
  CHECK(std::get<Answer>(parsed("certs issue a --hosts h")).mistake);
}

TEST_CASE("help and version are answers, not mistakes", "[cli]") {
  for (const std::string line : {"", "--help", "train --help", "predict -h", "--version"}) {
    CAPTURE(line);
    const Command command = parsed(line);
    REQUIRE(std::holds_alternative<Answer>(command));
    CHECK_FALSE(std::get<Answer>(command).mistake);
    CHECK_FALSE(std::get<Answer>(command).text.empty());
  }
}

TEST_CASE("an unknown option suggests the nearest", "[cli]") {
  const Answer epoch = mistake("train --data x --epoch 5");
  CHECK(epoch.text == "unknown option '--epoch'");
  CHECK(epoch.hint.starts_with("did you mean '--epochs'?"));
  CHECK(mistake("train --dta fashion-mnist").hint.starts_with("did you mean '--data'?"));
  CHECK(mistake("train --batchsize=64 --data x").hint.starts_with("did you mean '--batch-size'?"));
  CHECK(mistake("trian --data x").text == "unknown command 'trian'");
  CHECK(mistake("trian").hint.starts_with("did you mean 'train'?"));
  CHECK(
      mistake("train --data x --colour-scheme 3").hint ==
      "troupe train --help lists what there is");
  CHECK(mistake("predict a b c").text == "unknown argument 'c'");
}

TEST_CASE("values out of range are mistakes that name the option", "[cli]") {
  CHECK(mistake("train --data x --model resnet").text.find("--model") != std::string::npos);
  CHECK(mistake("train --data x --epochs 0").text.find("--epochs") != std::string::npos);
  CHECK(mistake("train --data x --epochs many").text.find("--epochs") != std::string::npos);
  CHECK(mistake("train --data x --lr -1").text.find("--lr") != std::string::npos);
  CHECK(mistake("train --data x --lr nan").text.find("--lr") != std::string::npos);
  CHECK(mistake("train --data x --lr fast").text.find("is not a number") != std::string::npos);
  CHECK(mistake("train --data x --accumulate 1e18").text.find("1000000000") != std::string::npos);
  CHECK(mistake("train --data x --shards 0").text.find("--shards") != std::string::npos);
  CHECK(mistake("train --data x --shards 65537").text.find("65536") != std::string::npos);
  CHECK(
      mistake("train --data x --batch-size 4 --shards 8").text ==
      "a batch of 4 cannot be cut into 8 shards: use --shards 4 or fewer, or a larger "
      "--batch-size");
  CHECK(mistake("train --data x --batch-size 0").text.find("--batch-size") != std::string::npos);
  const Answer precision = mistake("train --data x --precision fp16");
  CHECK(precision.text.find("--precision") != std::string::npos);
  CHECK(precision.text.find("{float32,bf16}") != std::string::npos);
  CHECK(mistake("train --data x --threads -1").text.find("--threads") != std::string::npos);
  CHECK(mistake("train --data x --door window").text.find("--door") != std::string::npos);
  CHECK(mistake("train --data text:b --context 0").text.find("--context") != std::string::npos);
  CHECK(mistake("train --data text:b --layers 0").text.find("--layers") != std::string::npos);
  CHECK(mistake("train --data text:b --width 0").text.find("--width") != std::string::npos);
  CHECK(mistake("train --data text:b --dropout 2").text.find("--dropout") != std::string::npos);
  CHECK(mistake("generate a --tokens 0").text.find("--tokens") != std::string::npos);
  CHECK(mistake("generate a --temperature -1").text.find("--temperature") != std::string::npos);
  CHECK(mistake("generate a --top-k -1").text.find("--top-k") != std::string::npos);
  CHECK(mistake("generate a --seed -1").text.find("--seed") != std::string::npos);
  CHECK(mistake("generate").text.find("run") != std::string::npos);
  CHECK(mistake("train").text == "--data is missing");
  CHECK(mistake("train --resume a --out b").text == "--resume and --out exclude each other");
  CHECK(mistake("eval").text.find("run") != std::string::npos);
  CHECK(mistake("predict a").text.find("images") != std::string::npos);
}

TEST_CASE("the nearest word needs the fewest changes", "[cli]") {
  CHECK(nearest("epoch", {"epochs", "each"}) == "epochs");
  CHECK(nearest("lr", {"lr"}) == "lr");
  CHECK(nearest("completely", {"lr", "data"}).empty());
  CHECK(nearest("x", {}).empty());
}

}  // namespace
}  // namespace troupe::cli
