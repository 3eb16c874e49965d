#include "actors/actors.hpp"

#include "cli/program.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/io/safetensors.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace troupe::cli::test {
namespace {

/// A loader that gives one batch and fails.
class BrokenLoader final : public Actor<StreamCredit> {
 public:
  static constexpr std::string_view name = "test.broken_loader";

  BrokenLoader(Address<StreamItem<Batch>> to, Batch batch)
      : out_(std::move(to), self()), batch_(std::move(batch)) {}

 private:
  friend ActorAccess;
  void on(const StreamCredit& credit) {
    out_.on(credit);
    out_.offer(batch_);
    out_.fail(Error(ErrorCode::file_io, "planted in the loader"));
  }

  StreamSource<Batch> out_;
  Batch batch_;
};

}  // namespace

TEST_CASE("the example of actors learns, shows its progress and saves its model", "[examples]") {
  const Folder folder("actors");
  write_idx_folder(folder / "data", 600, 100);
  const Ended ended = run(folder, {"30", "idx:data"});
  CAPTURE(ended.out, ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.out.find("\repoch 1 [") != std::string::npos);
  const std::string last = "\repoch 30 [##############################] 100 %  loss ";
  CHECK(ended.out.find(last) != std::string::npos);
  const std::string accuracy = "  accuracy ";
  CHECK(std::stod(ended.out.substr(ended.out.rfind(accuracy) + accuracy.size())) > 80);
  const auto disk = make_real_disk();
  CHECK(io::read_safetensors(*disk, folder / "actors.safetensors").value().tensors.size() == 4);

  const Ended wrong = run(folder, {"1", "idx:nowhere"});
  CHECK(wrong.code == 1);
  CHECK(wrong.err.find("nowhere/train-images-idx3-ubyte") != std::string::npos);
}

TEST_CASE("an epoch whose loader fails ends with its error and not with a result", "[examples]") {
  System system;
  Device& device = cpu::attach(system);
  const Scope scope(system, device);
  const nn::Sequential model{nn::Flatten(), nn::Linear(4, 2)};
  const optim::Adam optimizer(model.parameters());
  const std::vector<float> pixels(4, 0.5f);
  const std::vector<std::int64_t> labels{1};
  const Batch batch{
      Tensor::copy_of<float>(pixels, {1, 1, 2, 2}), Tensor::copy_of<std::int64_t>(labels, {1}), 0};

  StreamReader<StepReport> reports(system, {.messages = 3});
  const auto backward = system.spawn<Backward>(device, optimizer, reports.address());
  const auto forward = system.spawn<Forward>(device, model, backward);
  (void)system.spawn<BrokenLoader>(Address<StreamItem<Batch>>(forward), batch);
  CHECK(reports.next());
  try {
    (void)reports.next();
    FAIL("the epoch ended well");
  } catch (const Error& error) {
    CHECK(error.message() == "planted in the loader");
  }
}

}  // namespace troupe::cli::test
