#include "data_facts.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace troupe::cli {
namespace {

data::TextDataset some_text() {
  sim::MemoryDisk disk;
  std::string text(200, 'x');
  text.back() = 'y';
  disk.put("t", std::as_bytes(std::span(text)));
  return data::open_text_dataset(disk, "t", 4).value();
}

data::ImageDataset some_images() {
  data::ImageDataset dataset;
  auto set = std::make_shared<data::ImageSet>();
  *set = {2, 1, 2, 3, std::vector<std::byte>(12, std::byte{255}), {0, 1}};
  dataset.train = set;
  dataset.test = set;
  dataset.class_names = {"a", "b"};
  dataset.mean = {0.5f};
  dataset.deviation = {0.25f};
  return dataset;
}

}  // namespace

TEST_CASE("facts are put where their kind is, and taken from there", "[cli]") {
  for (const Dataset& dataset : {Dataset(some_text()), Dataset(some_images())}) {
    const DataFacts facts = facts_of(dataset);
    const bool text = kind_of(facts) == DataKind::text;
    CHECK(text == std::holds_alternative<data::TextDataset>(dataset));
    io::Tree tree;
    put_facts(tree, facts);
    CHECK((tree.find("text") != nullptr) == text);
    CHECK((tree.find("images") != nullptr) == !text);
    io::Tree again;
    put_facts(again, take_facts(tree));
    CHECK(again == tree);
    CHECK(described(facts) == (text ? "a text of 200 bytes" : "images [1, 2, 3]"));
  }
  CHECK_THROWS_AS(take_facts(io::Tree::Map{{"sounds", 1}}), Error);
}

TEST_CASE("facts that no text has are refused", "[cli]") {
  const auto refused = [](std::int64_t bytes, std::int64_t crc32) {
    try {
      (void)TextFacts::from(io::Tree::Map{{"bytes", bytes}, {"crc32", crc32}});
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::file_mismatch);
      CHECK(error.message().starts_with("'text': '"));
      return true;
    }
    return false;
  };
  CHECK_FALSE(refused(1, 0));
  CHECK(refused(0, 0));
  CHECK(refused(-1, 0));
  CHECK(refused(1, -1));
  CHECK(refused(1, std::int64_t{1} << 32));
}

TEST_CASE("loaders hand out the part that is asked for", "[cli]") {
  System system;
  Device& device = cpu::attach(system);
  const Dataset text = some_text();
  const auto last_byte = [&](Part part) {
    data::Loader loader =
        make_loader(device, text, part, facts_of(text), 19, {.batch_size = 1, .shuffle = false});
    CHECK(loader.sample_shape() == Shape{19});
    std::int64_t last = 0;
    loader.begin_epoch(0);
    while (const auto batch = loader.next()) last = batch->labels.to_vector<std::int64_t>().back();
    return last;
  };
  CHECK(last_byte(Part::train) == 'x');
  CHECK(last_byte(Part::test) == 'y');

  // Normalized by what the model was made for.
  ImageFacts facts = ImageFacts::of(some_images());
  facts.mean = {0};
  const Dataset images = some_images();
  data::Loader loader = make_loader(device, images, Part::test, facts, 0, {.batch_size = 2});
  loader.begin_epoch(0);
  CHECK(loader.next()->inputs.to_vector<float>()[0] == 4);
}

}  // namespace troupe::cli
