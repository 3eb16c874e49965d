#include "run_folder.hpp"

#include "session.hpp"

#include <troupe/io/safetensors.hpp>

#include <algorithm>
#include <numbers>
#include <span>
#include <utility>

namespace troupe::cli {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string lines_of(const std::vector<nn::EpochMetrics>& metrics, DataKind kind) {
  std::string lines;
  for (const nn::EpochMetrics& epoch : metrics)
    lines += io::to_json(metrics_line(epoch, kind)) + "\n";
  return lines;
}

/// Whether a file holds these tensors and no others.
bool holds(Disk& disk, const std::string& path, const std::vector<io::HostTensor>& tensors) {
  const auto file = io::read_safetensors(disk, path);
  if (!file || file.value().tensors.size() != tensors.size()) return false;
  return std::all_of(tensors.begin(), tensors.end(), [&](const io::HostTensor& tensor) {
    const io::HostTensor* saved = file.value().find(tensor.name());
    return saved && saved->dtype() == tensor.dtype() && saved->shape() == tensor.shape() &&
           std::ranges::equal(saved->bytes(), tensor.bytes());
  });
}

}  // namespace

double bits_per_byte(double loss) noexcept { return loss / std::numbers::ln2; }

io::Tree about_run(const RunConfig& config, const DataFacts& facts, const Device& device) {
  io::Tree tree = io::Tree::Map{{"config", config.tree()}};
  put_facts(tree, facts);
  tree["numeric_profile"] = numeric_profile(device);
  return tree;
}

io::Tree metrics_line(const nn::EpochMetrics& epoch, DataKind kind) {
  if (kind == DataKind::images) return epoch.tree();
  return io::Tree::Map{
      {"epoch", epoch.epoch},
      {"step", epoch.step},
      {"train_loss", epoch.train_loss},
      {"train_bits_per_byte", bits_per_byte(epoch.train_loss)},
      {"test_loss", epoch.test_loss},
      {"test_bits_per_byte", bits_per_byte(epoch.test_loss)},
      {"seconds", epoch.seconds},
      {"bytes_per_second", epoch.samples_per_second}};
}

bool RunFolder::exists() const {
  return disk_->exists(path_ + "/config.json") && io::has_checkpoint(*disk_, checkpoint_path());
}

void RunFolder::write_config(const RunConfig& config, const DataFacts& facts) {
  io::Tree tree = config.tree();
  put_facts(tree, facts);
  disk_->make_folders(path_).value();
  disk_->replace(path_ + "/config.json", bytes_of(io::to_json(tree, 2) + "\n")).value();
}

void RunFolder::read_config(RunConfig& config, DataFacts& facts) const {
  const std::string file = path_ + "/config.json";
  if (!disk_->exists(file))
    throw Error(
        ErrorCode::file_not_found, path_ + " is not the folder of a run: it has no config.json")
        .hint("give the folder that 'troupe train --out' named");
  constexpr std::uint64_t bytes_max = 1 << 20;
  const std::vector<std::byte> bytes = disk_->read_all(file, bytes_max).value();
  const io::Tree tree =
      io::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file).value();
  try {
    config = RunConfig::from(tree);
    facts = take_facts(tree);
  } catch (const Error& error) {
    throw Error(error.code(), file + ": " + error.message())
        .hint("the file is from another version, or was edited");
  }
}

io::Tree RunFolder::read_lease() const {
  const std::string file = path_ + "/lease.json";
  if (!disk_->exists(file)) return {};
  constexpr std::uint64_t bytes_max = 4096;
  const std::vector<std::byte> bytes = disk_->read_all(file, bytes_max).value();
  return io::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file).value();
}

std::uint64_t RunFolder::run_number() const {
  const io::Tree lease = read_lease();
  return lease.is_null() ? 0 : lease.at("run").as_uint();
}

std::uint64_t RunFolder::next_lease() const {
  const io::Tree lease = read_lease();
  return lease.is_null() ? 1 : lease.at("token").as_uint() + 1;
}

std::uint64_t RunFolder::take_lease(std::uint64_t fresh) {
  const io::Tree before = read_lease();
  const std::uint64_t run = before.is_null() ? fresh : before.at("run").as_uint();
  lease_ = next_lease();
  const io::Tree tree = io::Tree::Map{{"run", run}, {"token", lease_}};
  disk_->replace(path_ + "/lease.json", bytes_of(io::to_json(tree) + "\n")).value();
  return run;
}

void RunFolder::save(nn::Trainer& trainer, const io::Tree& about, DataKind kind) {
  if (lease_ != 0)
    if (const io::Tree now = read_lease(); now.is_null() || now.at("token").as_uint() != lease_)
      throw Error(ErrorCode::fenced, "another process trains in " + path_ + " by now")
          .hint("it goes on from the last save; this one has written nothing since");
  // The checkpoint first: `resume` makes the other two from it again.
  (void)io::save_checkpoint(*disk_, checkpoint_path(), trainer.archive(about)).value();
  write_metrics(lines_of(trainer.metrics(), kind));
  write_weights(trainer.task().model.state_dict());
}

Resumed RunFolder::resume(nn::Trainer& trainer, DataKind kind) {
  auto loaded = io::load_checkpoint(*disk_, checkpoint_path());
  if (!loaded)
    throw Error(loaded.error())
        .hint(
            "without a checkpoint the run cannot go on; begin it anew with --out and a new folder");
  io::LoadedCheckpoint& checkpoint = loaded.value();
  trainer.restore(checkpoint.archive);

  const std::string lines = lines_of(trainer.metrics(), kind);
  const auto written = disk_->read_all(path_ + "/metrics.jsonl", lines.size());
  if (!written || !std::ranges::equal(written.value(), bytes_of(lines))) write_metrics(lines);
  const nn::StateDict weights = trainer.task().model.state_dict();
  if (!holds(*disk_, model_path(), nn::to_host(weights))) write_weights(weights);

  const io::Tree* about = checkpoint.archive.meta.find("about");
  return {about ? *about : io::Tree(), std::move(checkpoint.notices)};
}

void RunFolder::write_metrics(const std::string& lines) {
  disk_->replace(path_ + "/metrics.jsonl", bytes_of(lines)).value();
}

void RunFolder::write_weights(const nn::StateDict& weights) {
  nn::save(*disk_, model_path(), weights).value();
}

std::string RunFolder::free_name(Disk& disk, const std::string& model) {
  for (int number = 1;; ++number) {
    std::string name = "runs/" + model + "-" + std::to_string(number);
    if (!disk.exists(name)) return name;
  }
}

}  // namespace troupe::cli
