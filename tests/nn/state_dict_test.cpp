#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/sim_disk.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/state_dict.hpp>
#include <troupe/tensor/ops/mul.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

TEST_CASE("a model comes back from a safetensors file to the bit", "[nn]") {
  test::Engine engine;
  sim::MemoryDisk disk;
  const nn::Sequential saved{nn::Linear(4, 3), nn::BatchNorm1d(3), nn::Linear(3, 2, false)};
  const Tensor x = Tensor::copy_of<float>(test::numbers(20, 1), {5, 4});
  (void)saved(x);
  saved.eval();
  nn::save(disk, "model.safetensors", saved.state_dict(), {{"format", "pt"}}).value();

  engine.scope.seed(99);
  const nn::Sequential loaded{nn::Linear(4, 3), nn::BatchNorm1d(3), nn::Linear(3, 2, false)};
  loaded.eval();
  CHECK(loaded(x).to_vector<float>() != saved(x).to_vector<float>());
  loaded.load_state_dict(nn::load(disk, "model.safetensors").value());
  CHECK(loaded(x).to_vector<float>() == saved(x).to_vector<float>());
  CHECK(loaded.parameter("1.num_batches_tracked").tensor().item() == 1);

  CHECK(nn::load(disk, "nothing.safetensors").error().code() == ErrorCode::file_not_found);
}

TEST_CASE("tensors that are views are written as they look", "[nn]") {
  test::Engine engine;
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  const Tensor x = Tensor::copy_of<float>(numbers, {2, 3});
  const std::vector<io::HostTensor> host = nn::to_host({{"a", x}, {"b", x * 2}}, "net.");
  CHECK(host[1].name() == "net.b");
  const nn::StateDict back = nn::from_host(host, "net.");
  CHECK(nn::find(back, "a")->to_vector<float>() == numbers);
  CHECK(nn::find(back, "b")->to_vector<float>() == std::vector<float>{2, 4, 6, 8, 10, 12});
  CHECK(nn::find(back, "c") == nullptr);
  CHECK(nn::from_host(host, "other.").empty());
}
