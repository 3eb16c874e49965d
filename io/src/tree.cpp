#include "json_events.hpp"

#include <troupe/io/tree.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <unordered_set>

namespace troupe::io {
namespace {

constexpr std::size_t depth_max = 64;

[[noreturn]] void wrong_kind(std::string_view wanted, const Tree& tree) {
  throw Error(
      ErrorCode::file_mismatch,
      "a " + std::string(tree.kind()) + " where a " + std::string(wanted) + " was expected");
}

/// Builds a tree from what the parser hears.
class TreeBuilder final : public JsonEvents {
 public:
  std::string on_null() override { return add(Tree()); }
  std::string on_bool(bool value) override { return add(value); }
  std::string on_int(std::int64_t value) override { return add(value); }
  std::string on_uint(std::uint64_t value) override { return add(value); }
  std::string on_double(double value) override { return add(value); }
  std::string on_string(std::string&& value) override { return add(std::move(value)); }
  std::string on_map_begin() override { return open(true); }
  std::string on_list_begin() override { return open(false); }
  std::string on_map_end() override { return close(); }
  std::string on_list_end() override { return close(); }
  std::string on_name(std::string&& name) override {
    Level& level = levels_.back();
    if (!level.names.insert(name).second)
      return "the name '" + name.substr(0, 80) + "' is given twice";
    level.name = std::move(name);
    return {};
  }

  Tree take() { return std::move(root_); }

 private:
  struct Level {
    bool is_map = false;
    Tree::List list;
    Tree::Map map;
    std::string name;                       ///< of the entry to come
    std::unordered_set<std::string> names;  ///< of the entries so far
  };

  std::string add(Tree value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = levels_.back(); level.is_map) {
      level.map.emplace_back(std::move(level.name), std::move(value));
    } else {
      level.list.push_back(std::move(value));
    }
    return {};
  }

  std::string open(bool is_map) {
    if (levels_.size() == depth_max) {
      return "nested more than " + std::to_string(depth_max) + " levels deep";
    }
    levels_.emplace_back().is_map = is_map;
    return {};
  }

  std::string close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    return add(level.is_map ? Tree(std::move(level.map)) : Tree(std::move(level.list)));
  }

  std::vector<Level> levels_;
  Tree root_;
};

}  // namespace

/// Turns a tree into the form that nlohmann prints.
struct TreeWriter {
  using Json = nlohmann::ordered_json;

  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(bool value) const { return value; }
  Json operator()(std::int64_t value) const { return value; }
  Json operator()(std::uint64_t value) const { return value; }
  Json operator()(double value) const {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return value;
  }
  Json operator()(const std::string& value) const { return value; }
  Json operator()(const Tree::List& values) const {
    Json json = Json::array();
    for (const Tree& value : values) json.push_back(write(value));
    return json;
  }
  Json operator()(const Tree::Map& entries) const {
    Json json = Json::object();
    // Straight into the list behind it: through operator[], n names would take n² comparisons.
    auto& list = json.get_ref<Json::object_t&>();
    for (const auto& [name, value] : entries) {
      list.Json::object_t::Container::emplace_back(name, write(value));
    }
    return json;
  }

  [[nodiscard]] Json write(const Tree& tree) const { return std::visit(*this, tree.state_); }
};

std::string_view Tree::kind() const noexcept {
  constexpr std::string_view kinds[] = {
      "null", "bool", "integer", "integer", "double", "string", "list", "map"};
  return kinds[state_.index()];
}

bool Tree::as_bool() const {
  if (const bool* value = std::get_if<bool>(&state_)) return *value;
  wrong_kind("bool", *this);
}

std::int64_t Tree::as_int() const {
  if (const auto* value = std::get_if<std::int64_t>(&state_)) return *value;
  if (std::holds_alternative<std::uint64_t>(state_)) {
    throw Error(ErrorCode::file_mismatch, "an integer above the range of int64");
  }
  wrong_kind("integer", *this);
}

std::uint64_t Tree::as_uint() const {
  if (const auto* value = std::get_if<std::uint64_t>(&state_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&state_)) {
    if (*value >= 0) return static_cast<std::uint64_t>(*value);
    throw Error(ErrorCode::file_mismatch, "an integer below zero where none can be");
  }
  wrong_kind("integer", *this);
}

double Tree::as_double() const {
  if (const auto* value = std::get_if<double>(&state_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&state_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<std::uint64_t>(&state_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<std::string>(&state_)) {
    if (*value == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (*value == "Infinity") return std::numeric_limits<double>::infinity();
    if (*value == "-Infinity") return -std::numeric_limits<double>::infinity();
  }
  wrong_kind("double", *this);
}

const std::string& Tree::as_string() const {
  if (const auto* value = std::get_if<std::string>(&state_)) return *value;
  wrong_kind("string", *this);
}

const Tree::List& Tree::as_list() const {
  if (const auto* values = std::get_if<List>(&state_)) return *values;
  wrong_kind("list", *this);
}

const Tree::Map& Tree::as_map() const {
  if (const auto* entries = std::get_if<Map>(&state_)) return *entries;
  wrong_kind("map", *this);
}

Tree& Tree::operator[](std::string_view name) {
  if (is_null()) state_ = Map();
  Map* entries = std::get_if<Map>(&state_);
  if (!entries) wrong_kind("map", *this);
  for (auto& [key, value] : *entries) {
    if (key == name) return value;
  }
  return entries->emplace_back(name, Tree()).second;
}

const Tree* Tree::find(std::string_view name) const noexcept {
  const Map* entries = std::get_if<Map>(&state_);
  if (!entries) return nullptr;
  for (const auto& [key, value] : *entries) {
    if (key == name) return &value;
  }
  return nullptr;
}

const Tree& Tree::at(std::string_view name) const {
  (void)as_map();
  if (const Tree* found = find(name)) return *found;
  throw Error(ErrorCode::file_mismatch, "nothing named '" + std::string(name) + "'");
}

void Tree::push_back(Tree value) {
  if (is_null()) state_ = List();
  List* values = std::get_if<List>(&state_);
  if (!values) wrong_kind("list", *this);
  values->push_back(std::move(value));
}

std::string to_json(const Tree& tree, int indent) {
  try {
    return TreeWriter{}.write(tree).dump(indent);
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorCode::invalid_argument, "a string to be written as JSON is not UTF-8");
  }
}

Result<Tree> parse_json(std::string_view text, const std::string& path) {
  TreeBuilder builder;
  if (auto done = read_json(text, path, 0, builder); !done) return done.error();
  return builder.take();
}

}  // namespace troupe::io
