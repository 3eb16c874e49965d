#include "pass.hpp"

#include <algorithm>

namespace troupe {

void remove_dead_code(Graph& graph) {
  std::vector<bool> read = kept_cells(graph);
  std::vector<bool> dead(graph.ops.size());
  for (std::size_t o = graph.ops.size(); o-- > 0;) {
    const Graph::Op& op = graph.ops[o];
    dead[o] = std::none_of(
        op.outputs.begin(), op.outputs.end(), [&](Graph::Cell cell) { return read[cell]; });
    if (dead[o]) continue;
    for (const Graph::Cell cell : op.inputs) read[cell] = true;
  }
  erase_ops(graph, dead);
  // What nothing reads need not be held either.
  std::erase_if(graph.constants, [&](const auto& constant) { return !read[constant.first]; });
}

}  // namespace troupe
