#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// A convolution that goes on with the max pooling of its result, which is never there as a whole.
/// Made by the compiler of programs, never called by people, where `Device::can_pool` says yes.
///
/// Inputs   those of the convolution.
/// Outputs  those of the pooling.
/// Bits     those of the two ops one after the other.
struct Pooled {
  static constexpr OpId id{993};
  static constexpr std::string_view name = "pooled";

  OpRef product;
  OpRef pooling;

  [[nodiscard]] bool operator==(const Pooled& other) const noexcept;
};

template <>
const OpInfo OpInfoOf<Pooled>::info;

}  // namespace troupe
