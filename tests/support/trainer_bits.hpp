#pragma once

#include <troupe/nn/trainer.hpp>

#include <string>

namespace troupe::test {

/// Weights, buffers, optimizer state, metrics without times: what must be the same, bit by bit.
[[nodiscard]] inline std::string bits(nn::Trainer& trainer) {
  const io::Archive archive = trainer.archive();
  std::string text;
  for (const io::HostTensor& tensor : archive.tensors) {
    text += tensor.name();
    text.append(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.bytes().size());
  }
  for (nn::EpochMetrics line : trainer.metrics()) {
    line.seconds = line.samples_per_second = 0;
    text += io::to_json(line.tree());
  }
  for (const char* name : {"epoch", "batch", "step", "random", "optimizer", "schedule"})
    text += io::to_json(archive.meta.at(name));
  return text;
}

}  // namespace troupe::test
