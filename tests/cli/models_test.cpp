#include "models.hpp"

#include <troupe/core/error.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {
namespace {

struct Fixture {
  System system;
  Device& device = cpu::attach(system);
  Scope scope{system, device};
};

RunConfig config_of(const char* model) {
  RunConfig config;
  config.model = model;
  return config;
}

DataFacts images(const Shape& image, std::size_t classes) {
  return ImageFacts{.image = image, .class_names = std::vector<std::string>(classes)};
}

nn::AnyModule image_model(const char* name, const Shape& image, std::size_t classes) {
  return make_model(config_of(name), images(image, classes));
}

RunConfig small_gpt(bool tied) {
  RunConfig config = config_of("gpt");
  config.context = 8;
  config.layers = 3;
  config.width = 12;
  config.heads = 2;
  config.tied = tied;
  return config;
}

}  // namespace

TEST_CASE("the models have the promised sizes", "[cli]") {
  const Fixture fixture;
  // 784·512+512 + 512·512+512 + 512·10+10
  CHECK(image_model("mlp", {1, 28, 28}, 10).parameter_count() == 669'706);
  // 1·32·9+32 + 32·64·9+64 + 3136·128+128 + 128·10+10
  CHECK(image_model("cnn", {1, 28, 28}, 10).parameter_count() == 421'642);
  // 3·32·9+32 + 32·64·9+64 + 4096·128+128 + 128·10+10
  CHECK(image_model("cnn", {3, 32, 32}, 10).parameter_count() == 545'098);
}

TEST_CASE("parameters are counted without making them", "[cli]") {
  const Fixture fixture;
  for (const char* name : {"mlp", "cnn"})
    for (const Shape& image : {Shape{1, 4, 5}, Shape{3, 9, 7}})
      CHECK(
          parameter_count(config_of(name), images(image, 4)) ==
          image_model(name, image, 4).parameter_count());
  for (const bool tied : {true, false})
    CHECK(
        parameter_count(small_gpt(tied), TextFacts{}) ==
        make_model(small_gpt(tied), TextFacts{}).parameter_count());
}

TEST_CASE("the models map images to scores of the classes", "[cli]") {
  const Fixture fixture;
  const std::vector<float> pixels(2 * 3 * 9 * 7, 0.5f);
  const Tensor pictures = Tensor::copy_of(std::span(pixels), {2, 3, 9, 7});
  for (const char* name : {"mlp", "cnn"})
    CHECK(image_model(name, {3, 9, 7}, 4)(pictures).shape() == Shape{2, 4});
}

TEST_CASE("the same seed draws the same weights", "[cli]") {
  const auto weights = [](std::uint64_t seed) {
    Fixture fixture;
    fixture.scope.seed(seed);
    return image_model("mlp", {1, 4, 4}, 2).parameters()[0].tensor().to_vector<float>();
  };
  CHECK(weights(1) == weights(1));
  CHECK(weights(1) != weights(2));
}

TEST_CASE("a gpt maps windows of bytes to scores of the bytes that follow", "[cli]") {
  const Fixture fixture;
  const std::vector<std::int64_t> bytes(2 * 5, 255);
  const Tensor windows = Tensor::copy_of<std::int64_t>(bytes, {2, 5});
  CHECK(make_model(small_gpt(true), TextFacts{})(windows).shape() == Shape{2, 5, 256});
  // What --dropout says comes to the model: two calls while it trains differ.
  RunConfig config = small_gpt(true);
  config.dropout = 0.5;
  const nn::AnyModule model = make_model(config, TextFacts{});
  CHECK(model(windows).to_vector<float>() != model(windows).to_vector<float>());
}

TEST_CASE("models that cannot be are refused with a hint", "[cli]") {
  const Fixture fixture;
  const auto refused = [](const RunConfig& config, const DataFacts& facts) {
    try {
      (void)make_model(config, facts);
    } catch (const Error& error) {
      CHECK_FALSE(error.hint().empty());
      return error.code() == ErrorCode::invalid_argument;
    }
    return false;
  };
  CHECK(refused(config_of("cnn"), images({1, 3, 28}, 10)));
  CHECK(refused(config_of("resnet"), images({1, 28, 28}, 10)));
  // 20 TB of weights: refused by their number, not by the machine.
  CHECK(refused(config_of("mlp"), images({1, 100'000, 100'000}, 10)));
  CHECK(refused(config_of("cnn"), images({1, 100'000, 100'000}, 10)));
  RunConfig large = small_gpt(true);
  large.width = 65'536;
  large.layers = 1024;
  CHECK(refused(large, TextFacts{}));
  CHECK(refused(config_of("mlp"), TextFacts{}));
  CHECK(refused(config_of("cnn"), TextFacts{}));
  CHECK(refused(config_of("gpt"), images({1, 28, 28}, 10)));
}

TEST_CASE("schedules start and end as they should", "[cli]") {
  const Fixture fixture;
  RunConfig config;
  config.model = "mlp";
  config.lr = 1;
  config.epochs = 3;
  const auto rates = [&](const char* schedule) {
    config.schedule = schedule;
    nn::Task task = make_task(config, images({1, 4, 4}, 2), 10);
    std::vector<double> list{task.optimizer.lr()};
    for (int step = 0; task.schedule && step < 30; ++step) {
      task.schedule->step();
      list.push_back(task.optimizer.lr());
    }
    return list;
  };
  CHECK(rates("constant") == std::vector<double>{1});
  const auto step = rates("step");
  CHECK(step[9] == 1);
  CHECK(std::abs(step[10] - 0.1) < 1e-12);
  CHECK(std::abs(step[20] - 0.01) < 1e-12);
  const auto cosine = rates("cosine");
  CHECK(std::abs(cosine[15] - 0.5) < 1e-12);
  CHECK(std::abs(cosine[30]) < 1e-12);
  const auto warm = rates("warmup-cosine");
  CHECK(warm[0] < 0.01);
  CHECK(std::abs(warm[1] - 1) < 1e-12);
  CHECK(std::abs(warm[30]) < 1e-12);
  // A run of one step has no cosine.
  config.epochs = 1;
  config.schedule = "warmup-cosine";
  CHECK(make_task(config, images({1, 4, 4}, 2), 1).schedule);
}

}  // namespace troupe::cli
