#include <troupe/io/tree.hpp>

#include <catch2/catch_test_macros.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

namespace {

using troupe::Error;
using troupe::ErrorCode;
using troupe::io::parse_json;
using troupe::io::to_json;
using troupe::io::Tree;

Tree reread(const Tree& tree) { return parse_json(to_json(tree), "tree.json").value(); }

ErrorCode code_thrown(const auto& call) {
  try {
    (void)call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;
}

}  // namespace

TEST_CASE("a tree survives being written and read", "[io]") {
  Tree tree;
  tree["epoch"] = 3;
  tree["name"] = "cnn \"quoted\"\n\ttab, ü and \xf0\x9f\x8e\xad";
  tree["done"] = false;
  tree["nothing"] = Tree();
  tree["rates"].push_back(0.1);
  tree["rates"].push_back(1e-3);
  tree["inner"]["deep"]["er"] = Tree(Tree::List{});
  tree["empty"] = Tree(Tree::Map{});
  CHECK(reread(tree) == tree);
  CHECK(parse_json(to_json(tree, 2), "tree.json").value() == tree);
}

TEST_CASE("integers keep all 64 bits", "[io]") {
  for (const Tree& number :
       {Tree(0),
        Tree(-1),
        Tree((std::int64_t{1} << 53) + 1),
        Tree(std::numeric_limits<std::int64_t>::min()),
        Tree(std::numeric_limits<std::int64_t>::max()),
        Tree(std::numeric_limits<std::uint64_t>::max())}) {
    CHECK(reread(number) == number);
  }
  CHECK(reread(~std::uint64_t{0}).as_uint() == ~std::uint64_t{0});
  CHECK(reread(std::int64_t{-5}).as_int() == -5);
  CHECK(Tree(std::uint64_t{7}) == Tree(7));
}

TEST_CASE("doubles keep every bit", "[io]") {
  std::uint64_t bits = 0x9e3779b97f4a7c15;
  for (int i = 0; i < 20'000; ++i) {
    bits = bits * 6364136223846793005 + 1442695040888963407;
    const double value = std::bit_cast<double>(bits);
    if (!std::isfinite(value)) continue;
    const Tree read = reread(value);
    REQUIRE(read.kind() == "double");
    REQUIRE(std::bit_cast<std::uint64_t>(read.as_double()) == bits);
  }
  for (const double value : {0.0, -0.0, 1.0, 1e20, 5e-324, 0.1, 1.7976931348623157e308}) {
    const double read = reread(value).as_double();
    CHECK(std::bit_cast<std::uint64_t>(read) == std::bit_cast<std::uint64_t>(value));
  }
}

TEST_CASE("doubles that JSON cannot write come back as doubles", "[io]") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(std::isnan(reread(std::nan("")).as_double()));
  CHECK(reread(infinity).as_double() == infinity);
  CHECK(reread(-infinity).as_double() == -infinity);
}

TEST_CASE("a map keeps the order of its names", "[io]") {
  Tree tree;
  tree["z"] = 1;
  tree["a"] = 2;
  tree["z"] = 3;
  CHECK(to_json(tree) == R"({"z":3,"a":2})");
  CHECK(to_json(reread(tree)) == R"({"z":3,"a":2})");
}

TEST_CASE("reading what is not there is a mismatch that names it", "[io]") {
  Tree tree;
  tree["count"] = -1;
  CHECK(code_thrown([&] { return tree.at("missing"); }) == ErrorCode::file_mismatch);
  CHECK(code_thrown([&] { return tree.at("count").as_uint(); }) == ErrorCode::file_mismatch);
  CHECK(code_thrown([&] { return tree.at("count").as_string(); }) == ErrorCode::file_mismatch);
  CHECK(code_thrown([&] { return tree.at("count").at("x"); }) == ErrorCode::file_mismatch);
  CHECK(code_thrown([&] { return Tree(~std::uint64_t{0}).as_int(); }) == ErrorCode::file_mismatch);
  CHECK(code_thrown([&] { return Tree("text").as_double(); }) == ErrorCode::file_mismatch);
  CHECK(tree.find("missing") == nullptr);
  CHECK(tree.at("count").as_double() == -1);
  try {
    (void)tree.at("missing");
  } catch (const Error& error) {
    CHECK(error.message() == "nothing named 'missing'");
  }
}

TEST_CASE("text that is not UTF-8 is refused, not written", "[io]") {
  CHECK(code_thrown([] { return to_json(Tree("\xff")); }) == ErrorCode::invalid_argument);
}
