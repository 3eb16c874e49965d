#pragma once

#include "support/engine.hpp"

#include <troupe/autograd/graph.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

/// What tests of the passes share.
namespace troupe::test {

/// The names of a graph's ops in order, fused ones as "a + b".
inline std::vector<std::string> names(const Program& program) {
  std::vector<std::string> names;
  for (const Graph::Op& op : program.graph().ops) names.push_back(name_of(op));
  return names;
}

inline Program capture(
    const GraphFunction& function, std::initializer_list<Shape> shapes, Passes passes) {
  std::vector<Meta> metas;
  for (const Shape& shape : shapes) metas.push_back({DType::float32, shape});
  return Program::capture(function, metas, {.passes = passes});
}

inline std::vector<Tensor> inputs_for(std::initializer_list<Shape> shapes) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) inputs.push_back(drawn(shape, inputs.size() + 1));
  return inputs;
}

/// Whether the function gives the same elements with the passes as without, under one seed.
inline bool same_bits(
    const GraphFunction& function, std::initializer_list<Shape> shapes, Passes passes) {
  const std::vector<Tensor> inputs = inputs_for(shapes);
  Program plain = capture(function, shapes, Passes::none());
  Program compiled = capture(function, shapes, passes);
  const auto run = [&](Program& program) {
    Scope::current().seed(7);
    return program.run(inputs);
  };
  const std::vector<Tensor> expected = run(plain);
  const std::vector<Tensor> found = run(compiled);
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (expected[i].to_vector<float>() != found[i].to_vector<float>()) return false;
  return true;
}

}  // namespace troupe::test
