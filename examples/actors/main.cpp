// Image classification by four actors that one can see:
//
//   loader ──Batch──▶ Forward ──Scored──▶ Backward ──StepReport──▶ this thread
//      ▲                 │ ▲                  │                        │
//      └─────credit──────┘ └─────StepDone─────┘◀────────credit─────────┘
//
// The loader makes batches ahead, as many as Forward gave it credit for. Forward calls the model,
// whose ops become actors and run while it goes on. Backward sends the gradients back through them
// and has the parameters update themselves. Nobody waits: each handles its message and returns.
//
//   example_actors [EPOCHS [DATA]]
//
// DATA is fashion-mnist, idx:FOLDER or cifar10:FOLDER. Without it: Fashion-MNIST, or generated
// shapes where it is missing.
#include "actors.hpp"

#include <troupe/core/future.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/data/cifar10.hpp>
#include <troupe/data/shapes10.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

data::ImageDataset open_images(Disk& disk, const char* chosen) {
  if (chosen) return data::open_image_dataset(disk, chosen).value();
  if (auto real = data::open_image_dataset(disk, "fashion-mnist")) return std::move(real).value();
  std::printf("Fashion-MNIST is not installed: making shapes instead\n");
  if (!disk.exists("shapes/test_batch.bin"))
    data::write_shapes10(disk, "shapes", 1, 5000, 1000).value();
  return data::read_cifar10(disk, "shapes").value();
}

int main(int argc, char** argv) try {
  const int epochs = argc > 1 ? std::atoi(argv[1]) : 2;
  System system;
  Device& cpu = cpu::attach(system);
  Scope scope(system, cpu);
  scope.seed(1);

  const data::ImageDataset images = open_images(system.disk(), argc > 2 ? argv[2] : nullptr);
  data::Loader loader(cpu, images.train, images.mean, images.deviation, {.batch_size = 128});
  nn::Sequential model{
      nn::Flatten(),
      nn::Linear(elements_in(loader.sample_shape()), 256),
      nn::ReLU(),
      nn::Linear(256, std::int64_t(images.class_names.size()))};
  optim::Adam optimizer(model.parameters(), {.lr = 1e-3});

  for (int epoch = 0; epoch < epochs; ++epoch) {
    StreamReader<StepReport> reports(system, {.messages = 3});
    const auto backward = system.spawn<Backward>(cpu, optimizer, reports.address());
    loader.stream_epoch(system.spawn<Forward>(cpu, model, backward), epoch);

    std::int64_t step = 0;
    while (const auto report = reports.next()) {  // waits, and runs actors meanwhile
      const double done = double(++step) / double(loader.batches());
      const std::string bar(std::size_t(30 * done), '#');
      std::printf(
          "\repoch %d [%-30s] %3.0f %%  loss %.4f",
          epoch + 1,
          bar.c_str(),
          100 * done,
          report->loss.item());
      std::fflush(stdout);
    }
    Future<Totals> answer = ask<Totals>(backward, [](Address<Totals> to) { return AskTotals{to}; });
    Totals& totals = answer.get();
    std::printf("  accuracy %.1f %%\n", 100.0 * totals.right.item() / double(totals.samples));
  }
  nn::save(system.disk(), "actors.safetensors", model.state_dict()).value();
  std::printf("the model is in actors.safetensors\n");
} catch (const std::exception& error) {
  std::fprintf(stderr, "\n%s\n", error.what());
  return 1;
}
