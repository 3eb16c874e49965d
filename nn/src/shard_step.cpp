#include "shard_step.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/round.hpp>
#include <troupe/tensor/ops/slice.hpp>
#include <troupe/tensor/ops/sub.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace troupe::nn {

/// What one shard gives, unfiltered: an undefined gradient where the loss does not depend on the
/// parameter.
struct ShardStep::Part {
  std::vector<Tensor> gradients;  // of the parameters' values, weighted
  std::vector<Tensor> results;    // loss and right answers of each batch, weighted
  std::vector<Tensor> buffers;    // as the shard left them
  std::int64_t counted = 0;       // rows, in all batches
};

namespace {

bool same(const Tensor& a, const Tensor& b) {
  return a.record() == b.record() && a.output() == b.output();
}

std::vector<Tensor> read(std::span<const Parameter> parameters) {
  std::vector<Tensor> values;
  for (const Parameter& parameter : parameters) values.push_back(parameter.tensor());
  return values;
}

/// Those that a backward pass is for.
std::vector<Parameter> stepped(const optim::Optimizer& optimizer) {
  std::vector<Parameter> parameters;
  for (std::size_t i = 0; i < optimizer.groups(); ++i)
    std::copy_if(
        optimizer.parameters(i).begin(),
        optimizer.parameters(i).end(),
        std::back_inserter(parameters),
        [](const Parameter& parameter) { return parameter.requires_grad(); });
  return parameters;
}

/// A multiplication by 1 is left out, and with it a launch.
Tensor weighted(const Tensor& tensor, double weight) {
  return weight == 1 ? tensor : tensor * weight;
}

/// The part of a shard in what becomes of a buffer, to be summed.
Tensor buffer_part(
    const Tensor& before, const Tensor& after, std::int64_t counted, std::int64_t rows) {
  if (is_floating(before.dtype()))
    return weighted(after, static_cast<double>(counted) / static_cast<double>(rows));
  if (before.dtype() == DType::boolean)
    throw Error(
        ErrorCode::unsupported,
        "a forward pass writes a buffer " + to_string(before.meta()) +
            ", of which shards have no mean")
        .hint("keep it as numbers, or train with one shard");
  return (after - before) * counted;
}

/// What the buffer becomes, of the shards' parts in it.
Tensor buffer_after(const Tensor& before, const Tensor& sum, std::int64_t rows) {
  if (is_floating(before.dtype())) return sum;
  const Tensor moved = round(cast(sum, DType::float32) / static_cast<double>(rows));
  return before + cast(moved, before.dtype());
}

}  // namespace

ShardStep::Part ShardStep::part_of(
    std::int64_t shard,
    std::span<const Tensor> values,
    std::span<const Tensor> batches,
    std::span<const BatchRows> rows) const {
  Part part;
  part.gradients.resize(values.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const data::ShardRows mine = shards_.rows_of(shard, rows[i].of);
    const double weight = mine.weight(rows[i].of);
    const auto cut = [&](const Tensor& batch) {
      return slice(batch, 0, mine.begin - rows[i].first, mine.end - rows[i].first);
    };
    Tensor loss, correct;
    score_(cut(batches[2 * i]), cut(batches[2 * i + 1]), loss, correct);
    Tensor root = weighted(loss, weight);
    // One step's gradient is the mean over its batches.
    if (rows.size() > 1) root = root / static_cast<std::int64_t>(rows.size());
    const std::vector<Tensor> gradients =
        grad(std::span(&root, 1), values, {}, {.allow_unused = true});

    const NoGrad no_grad;
    for (std::size_t p = 0; p < gradients.size(); ++p)
      if (gradients[p])
        part.gradients[p] = part.gradients[p] ? part.gradients[p] + gradients[p] : gradients[p];
    part.results.push_back(weighted(loss.detach(), weight));
    part.results.push_back(mine.counted > 0 ? correct : correct * 0);
    part.counted += mine.counted;
  }
  return part;
}

void ShardStep::run(
    const Module& model,
    const optim::Optimizer& optimizer,
    std::span<const Tensor> batches,
    std::span<const BatchRows> rows,
    std::span<Tensor> outputs) {
  std::vector<Parameter> parameters = stepped(optimizer);
  std::vector<Parameter> buffers = model.buffers();
  const std::vector<Tensor> values = read(parameters);
  const std::vector<Tensor> before = read(buffers);
  std::vector<bool> written(buffers.size());
  std::vector<Part> parts;
  {
    InShards calls;
    for (std::int64_t shard = shards_.first; shard < shards_.end(); ++shard) {
      calls.enter(static_cast<std::uint32_t>(shard));
      const std::vector<Tensor> mine = read(buffers);
      parts.push_back(part_of(shard, values, batches, rows));
      parts.back().buffers = read(buffers);
      for (std::size_t b = 0; b < buffers.size(); ++b) {
        if (same(parts.back().buffers[b], mine[b])) continue;
        written[b] = true;
        buffers[b].set(before[b]);  // where the next shard begins
      }
    }
  }

  const NoGrad no_grad;
  std::int64_t rows_in_step = 0;
  for (const BatchRows& batch : rows) rows_in_step += batch.of;
  std::vector<std::vector<Tensor>> lists;
  for (const Part& part : parts) {
    std::vector<Tensor>& list = lists.emplace_back();
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      if (part.gradients[p].defined() != parts[0].gradients[p].defined())
        throw Error(
            ErrorCode::unsupported,
            "the loss depends on a parameter " + to_string(parameters[p].meta()) +
                " in some shards only")
            .hint(
                "let it depend on the same parameters whatever the data, or train with one "
                "shard");
      if (part.gradients[p]) list.push_back(part.gradients[p]);
    }
    for (std::size_t b = 0; b < buffers.size(); ++b)
      if (written[b])
        list.push_back(buffer_part(before[b], part.buffers[b], part.counted, rows_in_step));
    list.insert(list.end(), part.results.begin(), part.results.end());
  }

  const std::vector<Tensor> sums = sum_ ? sum_(lists) : sum_of_shards(lists);
  if (sums.size() != lists[0].size())
    throw Error(
        ErrorCode::invalid_argument,
        "the sum of the shards has " + std::to_string(sums.size()) + " tensors, but each shard " +
            std::to_string(lists[0].size()));
  auto sum = sums.begin();
  for (std::size_t p = 0; p < parameters.size(); ++p)
    if (parts[0].gradients[p]) parameters[p].set_grad(*sum++);
  for (std::size_t b = 0; b < buffers.size(); ++b)
    if (written[b]) buffers[b].set(buffer_after(before[b], *sum++, rows_in_step));
  std::copy(sum, sums.end(), outputs.begin());
}

}  // namespace troupe::nn
