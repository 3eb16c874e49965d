#include "pass.hpp"

#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/max_pool2d.hpp>

namespace troupe {

namespace {

constexpr DType narrow = DType::bfloat16;
constexpr DType wide = DType::float32;

bool casts(const Graph::Op& op, DType to) {
  return op.info().id == Cast::id && static_cast<const Cast*>(op.op->attributes())->dtype == to;
}

/// Whether an op only moves and compares the elements of its first input, so that its first output
/// holds none but those, and zeros.
bool only_moves(const Graph::Op& op) {
  const OpId id = op.info().id;
  if (op.late) return false;
  if (op.info().family == OpFamily::view) return op.inputs.size() == 1;
  if (id == MaxPool2d::id || id == MaxPool2dValues::id) return true;
  return id == MaxPool2dBackward::id &&
         static_cast<const MaxPool2dBackward*>(op.op->attributes())->windows_part();
}

/// For each float32 cell whether nothing but its rounding to 16 bits is of interest to anybody: it
/// is read by casts alone, or by ops that only move it and of whose results the same holds.
std::vector<bool> rounded_cells(const Graph& graph) {
  std::vector<std::uint32_t> others = reader_counts(graph);
  std::vector<bool> read(graph.metas.size());
  std::vector<bool> rounded(graph.metas.size());
  const std::vector<bool> kept = kept_cells(graph);
  const auto is_rounded = [&](Graph::Cell cell) {
    return read[cell] && others[cell] == 0 && !kept[cell] && graph.metas[cell].dtype == wide;
  };
  for (std::size_t o = graph.ops.size(); o-- > 0;) {
    const Graph::Op& op = graph.ops[o];
    for (const Graph::Cell cell : op.outputs) rounded[cell] = is_rounded(cell);
    if (!(casts(op, narrow) && !op.late) && !(only_moves(op) && rounded[op.outputs[0]])) continue;
    read[op.inputs[0]] = true;
    --others[op.inputs[0]];
  }
  return rounded;
}

}  // namespace

// A number of 16 bits that was widened, moved and compared with others, and is rounded again, is
// what it was: widening keeps the order, and rounding gives back what was widened.
void narrow_between_casts(Graph& graph) {
  const std::vector<bool> rounded = rounded_cells(graph);
  constexpr Graph::Cell none = std::numeric_limits<Graph::Cell>::max();
  std::vector<Graph::Cell> narrow_of(graph.metas.size(), none);
  Renaming renaming(graph);
  std::vector<bool> gone(graph.ops.size());
  for (std::uint32_t o = 0; o < graph.ops.size(); ++o) {
    Graph::Op& op = graph.ops[o];
    renaming.apply_to(op);
    if (op.inputs.empty()) continue;
    const Graph::Cell from = op.inputs[0];
    if (casts(op, wide) && graph.metas[from].dtype == narrow) {
      narrow_of[op.outputs[0]] = from;
    } else if (casts(op, narrow) && narrow_of[from] != none && !op.late) {
      renaming.rename(op.outputs[0], narrow_of[from]);
      gone[o] = true;
    } else if (only_moves(op) && narrow_of[from] != none && rounded[op.outputs[0]]) {
      op.inputs[0] = narrow_of[from];
      const Graph::Cell to = op.outputs[0];
      graph.metas[to].dtype = narrow;
      narrow_of[to] = to;
    }
  }
  renaming.apply_to_results(graph);
  erase_ops(graph, gone);
  remove_dead_code(graph);
}

}  // namespace troupe
