#include "settings.hpp"

#include <troupe/nn/sgd.hpp>
#include <troupe/tensor/ops/sgd_update.hpp>

namespace troupe::optim {

namespace {

io::Tree to_tree(const SGDOptions& options) {
  io::Tree settings;
  settings["momentum"] = options.momentum;
  settings["dampening"] = options.dampening;
  settings["weight_decay"] = options.weight_decay;
  settings["nesterov"] = options.nesterov;
  settings["maximize"] = options.maximize;
  return settings;
}

void check(const io::Tree& settings) {
  require_at_least_zero(settings, "momentum");
  require_at_least_zero(settings, "weight_decay");
  (void)require_finite(settings, "dampening");
  if (settings.at("nesterov").as_bool() &&
      (settings.at("momentum").as_double() == 0 || settings.at("dampening").as_double() != 0))
    throw Error(
        ErrorCode::invalid_argument,
        "Nesterov's momentum needs a momentum above 0 and no dampening");
}

OpRef rule(const io::Tree& settings) {
  SgdUpdate update;
  update.momentum = settings.at("momentum").as_double();
  update.dampening = settings.at("dampening").as_double();
  update.weight_decay = settings.at("weight_decay").as_double();
  update.nesterov = settings.at("nesterov").as_bool();
  update.maximize = settings.at("maximize").as_bool();
  return make_op(update);
}

std::vector<std::string> states(const io::Tree& settings) {
  if (settings.at("momentum").as_double() == 0) return {};
  return {"momentum_buffer"};
}

}  // namespace

SGD::SGD(const std::vector<Parameter>& parameters, const SGDOptions& options)
    : Optimizer({"SGD", rule, states, check}, parameters, options.lr, to_tree(options)) {}

void SGD::add_param_group(const std::vector<Parameter>& parameters, const SGDOptions& options) {
  add_param_group(parameters, options.lr, to_tree(options));
}

}  // namespace troupe::optim
