#include <troupe/cluster/collectives.hpp>

#include <string>
#include <utility>

namespace troupe::cluster {

namespace {

constexpr std::uint64_t bytes_max = std::uint64_t{1} << 40;
constexpr std::uint32_t shards_max = 1U << 16;

CollectiveCall call_of(
    const Collectives& group,
    CollectiveKind kind,
    CollectiveKey key,
    std::int64_t deadline_ns,
    Address<CollectiveDone> to) {
  if (group.ranks() == 0)
    throw Error(ErrorCode::invalid_argument, "no group was entered yet")
        .op(name_of(kind))
        .hint("enter() the group first");
  if (!to)
    throw Error(ErrorCode::invalid_argument, "nobody would be told the end").op(name_of(kind));
  CollectiveCall call;
  call.kind = kind;
  call.key = key;
  call.deadline_ns = deadline_ns;
  call.to = std::move(to);
  return call;
}

void check_size(CollectiveKind kind, std::uint64_t bytes) {
  if (bytes > bytes_max)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(bytes) + " bytes; the most is " + std::to_string(bytes_max))
        .op(name_of(kind));
}

}  // namespace

std::string_view name_of(CollectiveKind kind) noexcept {
  switch (kind) {
    case CollectiveKind::all_reduce:
      return "all_reduce";
    case CollectiveKind::reduce_scatter:
      return "reduce_scatter";
    case CollectiveKind::all_gather:
      return "all_gather";
    case CollectiveKind::broadcast:
      return "broadcast";
    case CollectiveKind::barrier:
      return "barrier";
  }
  return "unknown collective";
}

std::string_view name_of(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::sum:
      return "sum";
    case Reduction::max:
      return "max";
    case Reduction::min:
      return "min";
  }
  return "unknown reduction";
}

bool is_reducible(DType dtype) noexcept {
  return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::bfloat16 ||
         dtype == DType::int32 || dtype == DType::int64;
}

void Collectives::reduce(
    CollectiveKind kind,
    CollectiveKey key,
    std::vector<Bytes> inputs,
    const ReduceOptions& how,
    Address<CollectiveDone> to) {
  CollectiveCall call = call_of(*this, kind, key, how.deadline_ns, std::move(to));
  if (!is_reducible(how.dtype))
    throw Error(ErrorCode::unsupported, std::string(name_of(how.dtype)) + " values are not reduced")
        .op(name_of(kind))
        .hint("cast to float32 first");
  call.shards = how.shards != 0 ? how.shards : ranks();
  if (call.shards < ranks() || call.shards > shards_max)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(call.shards) + " shards on " + std::to_string(ranks()) + " ranks")
        .op(name_of(kind))
        .hint("take one for each rank or more, up to " + std::to_string(shards_max));
  const std::size_t subtrees =
      nn::whole_subtrees(call.shards, shards_of(rank(), ranks(), call.shards)).size();
  if (inputs.size() != subtrees)
    throw Error(
        ErrorCode::invalid_argument,
        std::to_string(inputs.size()) + " inputs where rank " + std::to_string(rank()) +
            " carries " + std::to_string(subtrees) + " whole subtrees of " +
            std::to_string(call.shards) + " shards")
        .op(name_of(kind))
        .hint("sum the shards of each of whole_subtrees() first");
  call.bytes = inputs.front().size();
  check_size(kind, call.bytes);
  for (const Bytes& input : inputs)
    if (input.size() != call.bytes || input.size() % size_of(how.dtype) != 0)
      throw Error(
          ErrorCode::shape_mismatch,
          "an input of " + std::to_string(input.size()) + " bytes of " +
              std::string(name_of(how.dtype)) + " beside one of " + std::to_string(call.bytes))
          .op(name_of(kind));
  call.dtype = how.dtype;
  call.reduction = how.reduction;
  call.inputs = std::move(inputs);
  begin(std::move(call));
}

void Collectives::all_reduce(
    CollectiveKey key,
    std::vector<Bytes> inputs,
    const ReduceOptions& how,
    Address<CollectiveDone> to) {
  reduce(CollectiveKind::all_reduce, key, std::move(inputs), how, std::move(to));
}

void Collectives::reduce_scatter(
    CollectiveKey key,
    std::vector<Bytes> inputs,
    const ReduceOptions& how,
    Address<CollectiveDone> to) {
  reduce(CollectiveKind::reduce_scatter, key, std::move(inputs), how, std::move(to));
}

void Collectives::all_gather(
    CollectiveKey key, Bytes input, Address<CollectiveDone> to, std::int64_t deadline_ns) {
  CollectiveCall call = call_of(*this, CollectiveKind::all_gather, key, deadline_ns, std::move(to));
  call.bytes = input.size();
  check_size(call.kind, call.bytes * ranks());
  call.inputs.push_back(std::move(input));
  begin(std::move(call));
}

void Collectives::broadcast(
    CollectiveKey key,
    std::uint32_t root,
    Bytes input,
    std::uint64_t bytes,
    Address<CollectiveDone> to,
    std::int64_t deadline_ns) {
  CollectiveCall call = call_of(*this, CollectiveKind::broadcast, key, deadline_ns, std::move(to));
  check_size(call.kind, bytes);
  if (root >= ranks())
    throw Error(
        ErrorCode::invalid_argument,
        "root " + std::to_string(root) + " of " + std::to_string(ranks()) + " ranks")
        .op(name_of(call.kind));
  if (rank() == root && input.size() != bytes)
    throw Error(
        ErrorCode::shape_mismatch,
        "the root has " + std::to_string(input.size()) + " bytes to send and says " +
            std::to_string(bytes))
        .op(name_of(call.kind));
  call.root = root;
  call.bytes = bytes;
  if (rank() == root) call.inputs.push_back(std::move(input));
  begin(std::move(call));
}

void Collectives::barrier(CollectiveKey key, Address<CollectiveDone> to, std::int64_t deadline_ns) {
  CollectiveCall call = call_of(*this, CollectiveKind::barrier, key, deadline_ns, std::move(to));
  call.inputs.emplace_back();
  begin(std::move(call));
}

}  // namespace troupe::cluster
