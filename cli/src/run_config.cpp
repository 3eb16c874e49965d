#include "run_config.hpp"

#include <algorithm>

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
  visit("seed", config.seed);
  visit("augment", config.augment);
  visit("limit", config.limit);
}

void read(const io::Tree& from, std::string& into) { into = from.as_string(); }
void read(const io::Tree& from, std::int64_t& into) { into = from.as_int(); }
void read(const io::Tree& from, double& into) { into = from.as_double(); }
void read(const io::Tree& from, bool& into) { into = from.as_bool(); }

}  // namespace

const std::vector<std::string>& RunConfig::names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    RunConfig config;
    each_field(config, [&](const char* name, auto&) { list.emplace_back(name); });
    return list;
  }();
  return names;
}

bool RunConfig::may_change(std::string_view name) { return name == "epochs"; }

io::Tree RunConfig::tree() const {
  io::Tree tree;
  each_field(*this, [&](const char* name, const auto& value) { tree[name] = io::Tree(value); });
  return tree;
}

RunConfig RunConfig::from(const io::Tree& tree) {
  RunConfig config;
  each_field(config, [&](const char* name, auto& value) { read(tree.at(name), value); });
  return config;
}

}  // namespace troupe::cli
