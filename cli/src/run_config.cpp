#include "run_config.hpp"

#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <limits>

namespace troupe::cli {

namespace {

/// Shows every field under its name.
template <class Config, class Visit>
void each_field(Config& config, Visit&& visit) {
  visit("data", config.data);
  visit("model", config.model);
  visit("epochs", config.epochs);
  visit("batch_size", config.batch_size);
  visit("lr", config.lr);
  visit("optimizer", config.optimizer);
  visit("momentum", config.momentum);
  visit("weight_decay", config.weight_decay);
  visit("schedule", config.schedule);
  visit("clip", config.clip);
  visit("accumulate", config.accumulate);
  visit("shards", config.shards);
  visit("seed", config.seed);
  visit("precision", config.precision);
  visit("augment", config.augment);
  visit("limit", config.limit);
  visit("context", config.context);
  visit("layers", config.layers);
  visit("width", config.width);
  visit("heads", config.heads);
  visit("dropout", config.dropout);
  visit("tied", config.tied);
}

void read(const io::Tree& from, std::string& into) { into = from.as_string(); }
void read(const io::Tree& from, std::int64_t& into) { into = from.as_int(); }
void read(const io::Tree& from, double& into) { into = from.as_double(); }
void read(const io::Tree& from, bool& into) { into = from.as_bool(); }

std::string fault_of(const FieldRange& range, const std::string& value) {
  return range.fault(value);
}
std::string fault_of(const FieldRange& range, std::int64_t value) {
  return range.fault(static_cast<double>(value));
}
std::string fault_of(const FieldRange& range, double value) { return range.fault(value); }
std::string fault_of(const FieldRange&, bool) { return {}; }

/// As people write it: 5, not 5.000000.
std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", value);
  return text;
}

}  // namespace

std::string FieldRange::text() const {
  if (!words.empty()) {
    std::string list;
    for (const std::string& word : words) list += (list.empty() ? "{" : ",") + word;
    return list + "}";
  }
  if (low == high) return {};
  // An upper bound that nobody comes near is not worth a word in every help text.
  return high >= 1e9 ? "AT LEAST " + number_text(low)
                     : number_text(low) + " TO " + number_text(high);
}

std::string FieldRange::fault(std::string_view value) const {
  if (words.empty() || std::find(words.begin(), words.end(), value) != words.end()) return {};
  return "'" + std::string(value) + "' is not in " + text();
}

std::string FieldRange::fault(double value) const {
  if (value < low) return number_text(value) + " is below " + number_text(low);
  if (value > high) return number_text(value) + " is above " + number_text(high);
  return std::isnan(value) ? "NaN is no number" : "";
}

FieldRange RunConfig::range(std::string_view name) {
  // Times the steps of an epoch, of which there are fewer than 2³², epochs must not overflow.
  constexpr double count_max = 1e9;
  // Integers that doubles, and so the readers of JSON in other languages, tell apart.
  constexpr double integer_max = 9e15;
  constexpr double number_max = std::numeric_limits<double>::max();
  if (name == "model") return {.words = {"mlp", "cnn", "gpt"}};
  if (name == "optimizer") return {.words = {"sgd", "adam", "adamw"}};
  if (name == "precision") return {.words = {"float32", "bf16"}};
  if (name == "schedule") return {.words = {"constant", "step", "cosine", "warmup-cosine"}};
  if (name == "epochs" || name == "batch_size" || name == "accumulate")
    return {.low = 1, .high = count_max};
  if (name == "shards") return {.low = 1, .high = RandomState::shards_max};
  if (name == "seed" || name == "limit") return {.low = 0, .high = integer_max};
  if (name == "context" || name == "width") return {.low = 1, .high = 65536};
  if (name == "layers" || name == "heads") return {.low = 1, .high = 1024};
  if (name == "momentum" || name == "dropout") return {.low = 0, .high = 1};
  if (name == "lr" || name == "weight_decay" || name == "clip")
    return {.low = 0, .high = number_max};
  return {};
}

const std::vector<std::string>& RunConfig::names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    RunConfig config;
    each_field(config, [&](const char* name, auto&) { list.emplace_back(name); });
    return list;
  }();
  return names;
}

bool RunConfig::applies(std::string_view name, std::string_view model) {
  static constexpr std::string_view of_gpt[] = {
      "context", "layers", "width", "heads", "dropout", "tied"};
  if (name == "augment") return model != "gpt";
  return model == "gpt" ||
         std::find(std::begin(of_gpt), std::end(of_gpt), name) == std::end(of_gpt);
}

std::string RunConfig::fault() const {
  if (shards > batch_size)
    return "a batch of " + std::to_string(batch_size) + " cannot be cut into " +
           std::to_string(shards) + " shards: use --shards " + std::to_string(batch_size) +
           " or fewer, or a larger --batch-size";
  if (model != "gpt")
    return data.starts_with(text_prefix)
               ? "the " + model + " is for images, and '" + data + "' is text: use --model gpt"
               : "";
  if (!data.starts_with(text_prefix))
    return "the gpt is for text, and '" + data + "' is none: use --data text:FILE";
  if (width % heads != 0)
    return "a width of " + std::to_string(width) + " does not part into " + std::to_string(heads) +
           " heads";
  return "";
}

DType RunConfig::product_dtype() const {
  return precision == "bf16" ? DType::bfloat16 : DType::float32;
}

bool RunConfig::may_change(std::string_view name) { return name == "epochs"; }

io::Tree RunConfig::tree() const {
  io::Tree tree;
  each_field(*this, [&](const char* name, const auto& value) {
    if (applies(name, model)) tree[name] = io::Tree(value);
  });
  return tree;
}

RunConfig RunConfig::from(const io::Tree& tree) {
  RunConfig config;
  const double unset = config.weight_decay;
  each_field(config, [&](const std::string& name, auto& value) {
    if (!applies(name, config.model)) return;  // the model is read before
    if ((name == "precision" || name == "shards") && !tree.find(name)) return;
    read(tree.at(name), value);
    if (name == "weight_decay" && config.weight_decay == unset) return;
    const std::string fault = fault_of(range(name), value);
    if (!fault.empty()) throw Error(ErrorCode::file_mismatch, "'" + name + "': " + fault);
  });
  if (const std::string fault = config.fault(); !fault.empty())
    throw Error(ErrorCode::file_mismatch, fault);
  return config;
}

}  // namespace troupe::cli
