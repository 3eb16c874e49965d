#include "open_data.hpp"

#include <troupe/core/sim_disk.hpp>

#include <catch2/catch_test_macros.hpp>

#include <span>
#include <string>

namespace troupe::cli {
namespace {

struct Fixture {
  sim::MemoryDisk disk;
  std::string said;
  Console console{[](std::string_view) {}, [this](std::string_view text) { said += text; }, {}};
};

}  // namespace

TEST_CASE("shapes are made once, and then read", "[cli]") {
  Fixture fixture;
  const auto open = [&] {
    return std::get<data::ImageDataset>(
        open_data(fixture.disk, "shapes10:d", 128, fixture.console));
  };
  const auto made = open();
  CHECK(made.name == "shapes10:d");
  CHECK(made.train->count == 10'000);
  CHECK(made.test->count == 2'000);
  CHECK(made.class_names.size() == 10);
  CHECK(fixture.said == "making 12,000 images of shapes in d\n");
  const auto read = open();
  CHECK(read.train->labels == made.train->labels);
  CHECK(fixture.said == "making 12,000 images of shapes in d\n");
}

TEST_CASE("a text is opened for a context", "[cli]") {
  Fixture fixture;
  const std::string text(1300, 'x');
  fixture.disk.put("t", std::as_bytes(std::span(text)));
  const Dataset dataset = open_data(fixture.disk, "text:t", 128, fixture.console);
  CHECK(std::get<data::TextDataset>(dataset).test->bytes.size() == 130);
  CHECK_THROWS_AS(open_data(fixture.disk, "text:t", 130, fixture.console), Error);
}

TEST_CASE("a data set that is not there comes with a hint", "[cli]") {
  Fixture fixture;
  for (const std::string spec :
       {"mnist", "idx:d", "cifar10:d", "fashion-mnist", "shapes10:", "text:", "text:t"}) {
    CAPTURE(spec);
    try {
      (void)open_data(fixture.disk, spec, 128, fixture.console);
      FAIL("was opened");
    } catch (const Error& error) {
      CHECK_FALSE(error.hint().empty());
    }
  }
}

}  // namespace troupe::cli
