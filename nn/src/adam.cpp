#include "settings.hpp"

#include <troupe/nn/adam.hpp>
#include <troupe/tensor/ops/adam_update.hpp>

namespace troupe::optim {

namespace {

template <class Options>
io::Tree to_tree(const Options& options) {
  io::Tree settings;
  settings["beta1"] = options.betas[0];
  settings["beta2"] = options.betas[1];
  settings["eps"] = options.eps;
  settings["weight_decay"] = options.weight_decay;
  settings["amsgrad"] = options.amsgrad;
  settings["maximize"] = options.maximize;
  return settings;
}

void check(const io::Tree& settings) {
  for (const char* name : {"beta1", "beta2"}) {
    const double beta = settings.at(name).as_double();
    if (!(beta >= 0 && beta < 1))
      throw Error(
          ErrorCode::invalid_argument,
          "'" + std::string(name) + "' is " + std::to_string(beta) +
              ", but must be at least 0 and below 1");
  }
  require_at_least_zero(settings, "eps");
  require_at_least_zero(settings, "weight_decay");
}

template <bool decoupled>
OpRef rule(const io::Tree& settings) {
  AdamUpdate update;
  update.beta1 = settings.at("beta1").as_double();
  update.beta2 = settings.at("beta2").as_double();
  update.eps = settings.at("eps").as_double();
  update.weight_decay = settings.at("weight_decay").as_double();
  update.decoupled = decoupled;
  update.amsgrad = settings.at("amsgrad").as_bool();
  update.maximize = settings.at("maximize").as_bool();
  return make_op(update);
}

std::vector<std::string> states(const io::Tree& settings) {
  if (settings.at("amsgrad").as_bool()) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return {"exp_avg", "exp_avg_sq"};
}

}  // namespace

Adam::Adam(const std::vector<Parameter>& parameters, const AdamOptions& options)
    : Optimizer({"Adam", rule<false>, states, check}, parameters, options.lr, to_tree(options)) {}

void Adam::add_param_group(const std::vector<Parameter>& parameters, const AdamOptions& options) {
  add_param_group(parameters, options.lr, to_tree(options));
}

AdamW::AdamW(const std::vector<Parameter>& parameters, const AdamWOptions& options)
    : Optimizer({"AdamW", rule<true>, states, check}, parameters, options.lr, to_tree(options)) {}

void AdamW::add_param_group(const std::vector<Parameter>& parameters, const AdamWOptions& options) {
  add_param_group(parameters, options.lr, to_tree(options));
}

}  // namespace troupe::optim
