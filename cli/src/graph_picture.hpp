#pragma once

#include <troupe/autograd/graph.hpp>

#include <string>
#include <string_view>

namespace troupe::cli {

/// A graph as an SVG picture, from top to bottom: ops as boxes, what enters as ovals, values as
/// lines. Blue is forward, red on the way back, green an update; an op that was fused has a thick
/// border. Where an op was called, and its shapes, are told when the mouse rests on it.
[[nodiscard]] std::string picture_of(const Graph& graph, std::string_view title);

}  // namespace troupe::cli
