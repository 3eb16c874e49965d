#pragma once

#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/op_info.hpp>

#include <cmath>
#include <span>
#include <string_view>

/// y = x·|x|, element by element: an op that Troupe does not have, with its gradient. Numbers of
/// users' own ops begin at 65,536.
struct SignedSquare : troupe::OpDefaults {
  static constexpr troupe::OpId id{65'536};
  static constexpr std::string_view name = "signed_square";
  static constexpr std::uint32_t saves_inputs = 0b1;  // the vjp reads input 0

  void infer(std::span<const troupe::Meta> in, troupe::Metas& out) const { out.push_back(in[0]); }

  /// dy/dx = 2·|x|, in tensor algebra: so it can be differentiated again.
  template <class V>
  troupe::Gradients vjp(const V& v) const {
    return {v.grad() * abs(v.input()) * 2.0};
  }

  /// Tells a device how to compute it.
  static void attach(troupe::Device& device) {
    troupe::cpu::add_kernel(
        device,
        troupe::OpInfoOf<SignedSquare>::info,
        [](const void*,
           std::span<const troupe::cpu::HostTensor> in,
           std::span<const troupe::cpu::HostTensor> out) {
          const auto x = in[0].as<const float>();
          const auto y = out[0].as<float>();
          for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i] * std::abs(x[i]);
        });
  }
};

inline troupe::Tensor signed_square(const troupe::Operand& x) {
  return troupe::apply(SignedSquare{}, x);
}
