#pragma once

#include <troupe/nn/module.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::nn {

/// What a module and its copies share.
struct Module::State {
  struct Entry {
    std::string name;
    Parameter parameter;
    bool persistent = true;
  };

  std::string type;
  std::string description;
  std::vector<Entry> parameters;
  std::vector<Entry> buffers;
  std::vector<std::pair<std::string, std::shared_ptr<State>>> children;
  bool training = true;
  Device* placement = nullptr;
  Shape* watch = nullptr;  // where note_output puts what it is told; null: nobody watches
};

/// Gives each module of a tree a place for the shape of its latest output, for as long as it lives.
class ShapeWatch {
 public:
  struct Row {
    std::string path;
    Module module;
    std::vector<Parameter> parameters;  ///< its own, without the children's
    bool leaf;                          ///< has no children
    Shape output;                       ///< empty and `seen` false until it is called
    bool seen;
  };

  explicit ShapeWatch(const Module& module);
  ~ShapeWatch();
  ShapeWatch(const ShapeWatch&) = delete;
  ShapeWatch& operator=(const ShapeWatch&) = delete;

  /// The modules from the top down, in the order in which they were registered.
  [[nodiscard]] std::vector<Row> rows() const;

 private:
  struct Watched {
    std::string path;
    Module module;
    std::unique_ptr<Shape> shape;
  };
  std::vector<Watched> watched_;
};

}  // namespace troupe::nn
