#include "kernel_table.hpp"

#include <troupe/tensor/all_ops.hpp>

namespace troupe::vulkan {

namespace {

template <class Op>
void encode(Encoder& encoder) {
  Kernel<Op>::encode(encoder, *static_cast<const Op*>(encoder.launch().op->attributes()));
}

template <class Op>
void add(std::span<EncodeFunction> by_id) {
  if constexpr (Op::family == OpFamily::elementwise)
    by_id[static_cast<std::size_t>(Op::id)] = &encode_elementwise;
  if constexpr (Op::family == OpFamily::structured)
    by_id[static_cast<std::size_t>(Op::id)] = &encode<Op>;
}

template <class... Ops>
void add(std::span<EncodeFunction> by_id, OpList<Ops...>) {
  (add<Ops>(by_id), ...);
}

}  // namespace

void add_kernels(std::span<EncodeFunction> by_id) { add(by_id, AllOps{}); }

}  // namespace troupe::vulkan
