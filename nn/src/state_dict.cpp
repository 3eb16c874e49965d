#include <troupe/io/safetensors.hpp>
#include <troupe/nn/state_dict.hpp>

#include <cstddef>

namespace troupe::nn {

const Tensor* find(const StateDict& state, std::string_view name) noexcept {
  for (const auto& [have, tensor] : state)
    if (have == name) return &tensor;
  return nullptr;
}

std::vector<io::HostTensor> to_host(const StateDict& state, const std::string& prefix) {
  std::vector<io::HostTensor> tensors;
  tensors.reserve(state.size());
  for (const auto& [name, tensor] : state) {
    std::vector<std::byte> bytes(tensor.meta().bytes());
    tensor.download(tensor.dtype(), bytes);
    tensors.emplace_back(prefix + name, tensor.dtype(), tensor.shape(), std::move(bytes));
  }
  return tensors;
}

StateDict from_host(std::span<const io::HostTensor> tensors, std::string_view prefix) {
  StateDict state;
  for (const io::HostTensor& tensor : tensors) {
    const std::string& name = tensor.name();
    if (!name.starts_with(prefix)) continue;
    state.emplace_back(
        name.substr(prefix.size()),
        Tensor::upload(Meta{tensor.dtype(), tensor.shape()}, tensor.bytes()));
  }
  return state;
}

Result<void> save(
    Disk& disk,
    const std::string& path,
    const StateDict& state,
    const std::map<std::string, std::string>& metadata) {
  return io::write_safetensors(disk, path, to_host(state), metadata);
}

Result<StateDict> load(Disk& disk, const std::string& path) {
  Result<io::Safetensors> file = io::read_safetensors(disk, path);
  if (!file) return std::move(file).error();
  return from_host(file.value().tensors);
}

}  // namespace troupe::nn
