#include "module_state.hpp"

#include <troupe/autograd/program.hpp>
#include <troupe/nn/summary.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cstddef>
#include <set>

namespace troupe::nn {

// --- watching shapes
// ------------------------------------------------------------------------------

namespace {

constexpr std::size_t not_called = rank_max;

Shape unseen() { return Dims::filled(not_called, -1); }

}  // namespace

ShapeWatch::ShapeWatch(const Module& module) {
  for (auto& [path, each] : module.named_modules()) {
    watched_.push_back({path, each, std::make_unique<Shape>(unseen())});
    each.state_->watch = watched_.back().shape.get();
  }
}

ShapeWatch::~ShapeWatch() {
  for (const Watched& watched : watched_) watched.module.state_->watch = nullptr;
}

std::vector<ShapeWatch::Row> ShapeWatch::rows() const {
  std::vector<Row> rows;
  for (const Watched& watched : watched_) {
    Row row{watched.path, watched.module, {}, watched.module.state_->children.empty(), {}, false};
    for (const Module::State::Entry& entry : watched.module.state_->parameters)
      if (entry.parameter) row.parameters.push_back(entry.parameter);
    row.seen = *watched.shape != unseen();
    if (row.seen) row.output = *watched.shape;
    rows.push_back(std::move(row));
  }
  return rows;
}

// --- the table
// ------------------------------------------------------------------------------------

namespace {

/// 669706 → "669,706"
std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

/// "2.55 MB"
std::string readable(std::size_t bytes) {
  constexpr const char* units[] = {" bytes", " kB", " MB", " GB", " TB"};
  std::size_t unit = 0;
  std::size_t hundredths = bytes * 100;
  for (; hundredths >= 100'000 && unit + 1 < std::size(units); ++unit) hundredths /= 1000;
  std::string text = std::to_string(hundredths / 100);
  if (unit > 0) {
    const std::string fraction = std::to_string(hundredths % 100);
    text += "." + std::string(2 - fraction.size(), '0') + fraction;
  }
  return text + units[unit];
}

using Line = std::vector<std::string>;

/// Columns as wide as their widest entry; the last one flush right.
std::string table(const std::vector<Line>& lines) {
  std::vector<std::size_t> widths(lines[0].size());
  for (const Line& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string text;
  std::size_t width = 0;
  for (const Line& line : lines) {
    std::string row;
    for (std::size_t i = 0; i + 1 < line.size(); ++i)
      row += line[i] + std::string(widths[i] - line[i].size() + 2, ' ');
    row += std::string(widths.back() - line.back().size(), ' ') + line.back();
    width = row.size();
    text += row + "\n";
    if (&line == &lines.front()) text += std::string(width, '-') + "\n";
  }
  return text + std::string(width, '-') + "\n";
}

std::string totals(const Module& module) {
  std::int64_t all = 0;
  std::int64_t trainable = 0;
  std::int64_t buffered = 0;
  std::size_t bytes = 0;
  for (const Parameter& parameter : module.parameters()) {
    all += parameter.meta().elements();
    bytes += parameter.meta().bytes();
    if (parameter.requires_grad()) trainable += parameter.meta().elements();
  }
  for (const Parameter& buffer : module.buffers()) buffered += buffer.meta().elements();
  std::string text = "Parameters: " + grouped(all) + " (" + readable(bytes) + ")";
  if (trainable != all) text += ", trainable: " + grouped(trainable);
  if (buffered) text += ", in buffers: " + grouped(buffered);
  return text + "\n";
}

/// A layer's name: its path, and its type.
std::string layer_name(const ShapeWatch::Row& row) {
  if (row.path.empty()) return row.module.type();
  return row.path + " (" + row.module.type() + ")";
}

std::int64_t own_count(const ShapeWatch::Row& row, std::set<const ActorCell*>& counted) {
  std::int64_t count = 0;
  for (const Parameter& parameter : row.parameters)
    if (counted.insert(parameter.cell().get()).second) count += parameter.meta().elements();
  return count;
}

/// Layers, and whatever else has parameters of its own.
bool is_listed(const ShapeWatch::Row& row) { return row.leaf || !row.parameters.empty(); }

/// So that looking at a model draws no random number from it.
class KeepRandom {
 public:
  KeepRandom() : state_(&Scope::current().random()), before_(*state_) {}
  ~KeepRandom() { *state_ = before_; }
  KeepRandom(const KeepRandom&) = delete;
  KeepRandom& operator=(const KeepRandom&) = delete;

 private:
  RandomState* state_;
  RandomState before_;
};

}  // namespace

std::string Module::summary() const {
  const ShapeWatch watch(*this);
  std::set<const ActorCell*> counted;
  std::vector<Line> lines{{"Layer (type)", "Parameter shapes", "Parameters"}};
  for (const ShapeWatch::Row& row : watch.rows()) {
    if (!is_listed(row)) continue;
    std::string shapes;
    for (const Parameter& parameter : row.parameters)
      shapes += (shapes.empty() ? "" : ", ") + to_string(parameter.shape());
    lines.push_back({layer_name(row), shapes, grouped(own_count(row, counted))});
  }
  return type() + "\n" + table(lines) + totals(*this);
}

std::string summary(const AnyModule& model, const Meta& input) {
  const ShapeWatch watch(model);
  const KeepRandom keep;
  {
    const NoGrad no_grad;
    (void)Program::capture(
        [&](std::span<const Tensor> inputs) { return std::vector<Tensor>{model(inputs[0])}; },
        std::span(&input, 1));
  }
  std::set<const ActorCell*> counted;
  std::vector<Line> lines{{"Layer (type)", "Output shape", "Parameters"}};
  lines.push_back({"input", to_string(input), "0"});
  for (const ShapeWatch::Row& row : watch.rows())
    if (is_listed(row))
      lines.push_back(
          {layer_name(row),
           row.seen ? to_string(row.output) : "not seen",
           grouped(own_count(row, counted))});
  return model.type() + "\n" + table(lines) + totals(model);
}

}  // namespace troupe::nn
