#include "lifetimes.hpp"
#include "pass.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/ops/cast.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace troupe {

namespace {

/// Steps of a prologue, at most: what touches a gradient last is short.
constexpr std::size_t steps_max = 16;

/// Lets each update begin with the elementwise ops that touch its gradient last and that nothing
/// else reads.
///
/// An update runs when nothing can fail any more, so what its prologue reads is kept until then. An
/// op goes in where that costs no memory: if what it reads takes no more than what it makes, or if
/// at no moment behind it more is alive for it than while it would run where it is. It reads
/// nothing that an update writes over. A cast that makes more bytes of fewer, and whose other
/// readers are steps too, is made twice: fusion leaves nothing of the other.
class Updates : OpJoiner {
 public:
  explicit Updates(Graph& graph)
      : OpJoiner(graph),
        lifetimes_(graph),
        readers_of_(graph.metas.size()),
        written_over_(graph.metas.size()),
        late_reads_(graph.metas.size(), 0) {
    for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
      const Graph::Op& op = graph.ops[o];
      for (const Graph::Cell cell : op.inputs) {
        readers_of_[cell].push_back(o);
        if (op.late) ++late_reads_[lifetimes_.base_of(cell)];
      }
      for (std::size_t k = 0; is_update(op) && k < op.outputs.size(); ++k)
        written_over_[lifetimes_.base_of(op.inputs[k])] = true;
    }
    measure();
  }

  void run() {
    for (std::uint32_t o = 0; o < graph_.ops.size(); ++o) {
      if (!is_update(graph_.ops[o])) continue;
      Prologue prologue = prologue_of(o);
      // The ops that run first are left out until the device takes the others.
      while (!prologue.steps.empty() && !join(o, prologue)) {
        prologue.steps.pop_back();
        prologue.added.pop_back();
      }
    }
    finish();
  }

 private:
  struct Prologue {
    std::vector<std::uint32_t> steps;  // each behind those that read what it makes
    std::vector<std::uint64_t> added;  // bytes that each keeps beyond what it spares
    std::vector<Graph::Cell> read;     // by them and the update, as `Lifetimes::base_of`
  };

  /// Whether an op's inputs are what it writes over, a gradient, and numbers.
  [[nodiscard]] static bool is_update(const Graph::Op& op) noexcept {
    return op.late && op.info().donates == 0 && op.inputs.size() == op.outputs.size() + 2;
  }

  /// What is alive while each op runs, and the most behind it.
  void measure() {
    const std::size_t count = graph_.ops.size();
    alive_.resize(count);
    most_behind_.resize(count);
    std::uint64_t alive = 0;
    for (std::uint32_t o = 0; o < count; ++o) {
      for (const Graph::Cell cell : graph_.ops[o].outputs)
        if (lifetimes_.is_planned(cell)) alive += Lifetimes::bytes_of(graph_.metas[cell]);
      alive_[o] = alive;
      for (const Graph::Cell cell : lifetimes_.ending()[o])
        alive -= Lifetimes::bytes_of(graph_.metas[cell]);
    }
    for (std::size_t o = count; o-- > 1;)
      most_behind_[o - 1] = std::max(most_behind_[o], alive_[o]);
  }

  /// The ops that an update might begin with.
  [[nodiscard]] Prologue prologue_of(std::uint32_t number) const {
    const Graph::Op& update = graph_.ops[number];
    const Graph::Cell gradient = update.inputs[update.outputs.size()];
    Prologue prologue;
    // Ops that make what the prologue reads so far, and how often it reads that: all that reads
    // what the last of them makes stands behind it, and has been looked at.
    std::map<std::uint32_t, std::uint32_t, std::greater<>> open;
    std::vector<std::uint32_t> waiting;  // ops that would keep too much
    const auto look_at = [&](Graph::Cell cell) {
      prologue.read.push_back(lifetimes_.base_of(cell));
      if (may_be_step(cell, gradient)) ++open[producers_[cell]];
    };
    const auto take = [&](std::uint32_t o) {
      const std::optional<std::uint64_t> more = kept_more_for(o, prologue);
      if (!more || prologue.steps.size() == steps_max) return false;
      prologue.steps.push_back(o);
      prologue.added.push_back(*more);
      for (const Graph::Cell cell : graph_.ops[o].inputs) look_at(cell);
      return true;
    };
    look_at(gradient);
    while (true) {
      if (open.empty()) {
        // What one reads may have come to be read for another.
        const auto found = std::find_if(waiting.begin(), waiting.end(), take);
        if (found == waiting.end()) return prologue;
        waiting.erase(found);
        continue;
      }
      const auto [o, reads] = *open.begin();
      open.erase(open.begin());
      if ((is_to_be_moved(o, reads) || is_to_be_repeated(o, number)) && !take(o))
        waiting.push_back(o);
    }
  }

  /// Whether a step could make the cell that is as the gradient is.
  [[nodiscard]] bool may_be_step(Graph::Cell cell, Graph::Cell gradient) const {
    const std::uint32_t producer = producers_[cell];
    if (producer == no_op || kept_[cell] || graph_.devices[cell] != graph_.devices[gradient] ||
        graph_.metas[cell].shape != graph_.metas[gradient].shape ||
        !is_step(graph_, graph_.ops[producer]))
      return false;
    const std::vector<Graph::Cell>& inputs = graph_.ops[producer].inputs;
    return std::none_of(inputs.begin(), inputs.end(), [&](Graph::Cell input) {
      return written_over_[lifetimes_.base_of(input)];
    });
  }
  [[nodiscard]] bool is_to_be_moved(std::uint32_t o, std::uint32_t reads) const {
    return readers_[graph_.ops[o].outputs[0]] == reads;
  }
  [[nodiscard]] bool is_to_be_repeated(std::uint32_t o, std::uint32_t update) const {
    const Graph::Op& op = graph_.ops[o];
    const Graph::Cell result = op.outputs[0];
    const Meta& meta = graph_.metas[result];
    const std::vector<std::uint32_t>& readers = readers_of_[result];
    return op.info().id == Cast::id && graph_.metas[op.inputs[0]].bytes() < meta.bytes() &&
           std::all_of(readers.begin(), readers.end(), [&](std::uint32_t reader) {
             const Graph::Op& other = graph_.ops[reader];
             return reader == update ||
                    (is_step(graph_, other) && graph_.metas[other.outputs[0]].shape == meta.shape);
           });
  }

  /// Bytes that an op of the prologue would keep until the updates run, more than it spares; none
  /// where there is no room for them.
  [[nodiscard]] std::optional<std::uint64_t> kept_more_for(
      std::uint32_t o, const Prologue& prologue) const {
    const Graph::Op& op = graph_.ops[o];
    std::vector<Graph::Cell> read = prologue.read;
    std::uint64_t kept = 0;
    for (const Graph::Cell cell : op.inputs) {
      const Graph::Cell base = lifetimes_.base_of(cell);
      if (std::find(read.begin(), read.end(), base) != read.end()) continue;
      read.push_back(base);
      const Meta& meta = graph_.metas[base];
      if (producers_[base] != no_op && !kept_[base] && late_reads_[base] == 0 &&
          meta.bytes() > small_bytes_max)
        kept += Lifetimes::bytes_of(meta);
    }
    const std::uint64_t spared = Lifetimes::bytes_of(graph_.metas[op.outputs[0]]);
    if (kept <= spared) return 0;
    const std::uint64_t more = kept - spared;
    std::uint64_t added = added_;
    for (const std::uint64_t bytes : prologue.added) added += bytes;
    if (graph_.devices[op.outputs[0]] != graph_.plan.device ||
        most_behind_[o] + added + more > alive_[o])
      return std::nullopt;
    return more;
  }

  /// Makes the update at `o` one that begins with these steps, if the device takes it.
  bool join(std::uint32_t o, const Prologue& prologue) {
    const Graph::Op& update = graph_.ops[o];
    const std::size_t outputs = update.outputs.size();
    const Graph::Cell gradient = update.inputs[outputs];
    std::vector<std::uint32_t> steps = prologue.steps;
    std::sort(steps.begin(), steps.end());
    Chain chain(graph_, steps);
    FusedUpdate attributes;
    Fused& fused = attributes.prologue;
    fused.segment = std::move(chain.segment);
    fused.fold = update.op;
    fused.folded = chain.number[gradient];
    const std::vector<Meta> metas = metas_of(graph_, chain.inputs);
    const Device& device = graph_.device_of(update);
    if (!takes(chain.inputs.size() + 2 * outputs + 1, gradient) ||
        !device.can_fold(fused, metas, graph_.metas[gradient]))
      return false;
    fused.executable = device.compile(fused, metas, {});

    Graph::Op op;
    op.op = make_op(attributes);
    op.inputs.assign(
        update.inputs.begin(), update.inputs.begin() + static_cast<std::ptrdiff_t>(outputs));
    op.inputs.insert(op.inputs.end(), chain.inputs.begin(), chain.inputs.end());
    op.inputs.push_back(update.inputs.back());
    op.outputs = update.outputs;
    op.late = true;
    for (const std::uint32_t step : steps) take_along(op, graph_.ops[step]);
    take_along(op, update);

    stop_counting(update);
    for (const std::uint32_t step : prologue.steps) {
      if (readers_[graph_.ops[step].outputs[0]] > 0) continue;  // is made there as well
      gone_[step] = true;
      stop_counting(graph_.ops[step]);
    }
    for (const Graph::Cell cell : op.inputs) {
      ++readers_[cell];
      ++late_reads_[lifetimes_.base_of(cell)];
    }
    for (const std::uint64_t more : prologue.added) added_ += more;
    graph_.ops[o] = std::move(op);
    return true;
  }
  void stop_counting(const Graph::Op& op) {
    for (const Graph::Cell cell : op.inputs) {
      --readers_[cell];
      if (op.late) --late_reads_[lifetimes_.base_of(cell)];
    }
  }

  Lifetimes lifetimes_;
  std::vector<std::vector<std::uint32_t>> readers_of_;  // as the graph was
  std::vector<bool> written_over_;                      // by an update
  std::vector<std::uint32_t> late_reads_;               // of each cell and its views
  std::vector<std::uint64_t> alive_;                    // bytes, while each op runs
  std::vector<std::uint64_t> most_behind_;              // and at most after it
  std::uint64_t added_ = 0;                             // bytes, by what was joined so far
};

}  // namespace

void fuse_updates(Graph& graph) { Updates(graph).run(); }

}  // namespace troupe
