#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/io/host_tensor.hpp>
#include <troupe/tensor/tensor.hpp>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::nn {

/// Tensors by name, in the order in which a module registered them: "0.weight", "0.bias", …
using StateDict = std::vector<std::pair<std::string, Tensor>>;

/// The tensor of that name, or null.
[[nodiscard]] const Tensor* find(const StateDict& state, std::string_view name) noexcept;

/// Copies to host memory, as files need it, each name with `prefix` before it. Waits for the
/// tensors.
[[nodiscard]] std::vector<io::HostTensor> to_host(
    const StateDict& state, const std::string& prefix = "");
/// Those whose name begins with `prefix`, without it, copied to the scope's device.
[[nodiscard]] StateDict from_host(
    std::span<const io::HostTensor> tensors, std::string_view prefix = "");

/// Writes a safetensors file; errors as `io::write_safetensors`.
[[nodiscard]] Result<void> save(
    Disk& disk,
    const std::string& path,
    const StateDict& state,
    const std::map<std::string, std::string>& metadata = {});
/// Reads one; errors as `io::read_safetensors`. Tensors lie on the scope's device.
[[nodiscard]] Result<StateDict> load(Disk& disk, const std::string& path);

}  // namespace troupe::nn
