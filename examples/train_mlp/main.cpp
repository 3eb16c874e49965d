// Trains a small network on Fashion-MNIST, define-by-run: every call runs as it is made.
#include <troupe/autograd/backward.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstdio>

using namespace troupe;

int main() try {
  System system;
  Device& cpu = cpu::attach(system);
  Scope scope(system, cpu);
  scope.seed(7);

  nn::Sequential model{nn::Flatten(), nn::Linear(784, 512), nn::ReLU(), nn::Linear(512, 10)};
  optim::Adam optimizer(model.parameters(), {.lr = 1e-3});
  const auto images = data::open_image_dataset(system.disk(), "fashion-mnist").value();
  data::Loader loader(cpu, images.train, images.mean, images.deviation, {.batch_size = 128});

  loader.begin_epoch(0);
  while (const auto batch = loader.next()) {
    const Tensor loss = cross_entropy(model(batch->inputs), batch->labels);
    optimizer.zero_grad();
    backward(loss);
    optimizer.step();
    if (batch->index % 100 == 0) std::printf("%4d  loss %.4f\n", int(batch->index), loss.item());
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
