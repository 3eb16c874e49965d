#include "terminal_text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::cli {
namespace {

std::string written(const std::string& bytes) {
  TerminalText text;
  std::string out = text.add(bytes);
  return out + text.finish();
}

}  // namespace

TEST_CASE("text is written as it is", "[cli]") {
  for (const std::string text :
       {"Call me Ishmael.\n",
        "tab\there\r\n",
        "café",
        "agó—never",
        "日本語",
        "🐳 𝄞",
        "\u00a0\ud7ff\ue000"})
    CHECK(written(text) == text);
}

TEST_CASE("a character is written as soon as it is whole", "[cli]") {
  TerminalText text;
  CHECK(text.add("a") == "a");
  CHECK(text.add("\xe2") == "");
  CHECK(text.add("\x80") == "");
  CHECK(text.add("\x94") == "—");
  CHECK(text.add("b") == "b");
  CHECK(text.finish() == "");
  CHECK(text.add("\xf0\x9f") == "");
  CHECK(text.finish() == "�");
  CHECK(text.finish() == "");
}

// Source: the Unicode standard, section 3.9, table 3-8 and its kin.
TEST_CASE("what is no UTF-8 is replaced, once for each beginning of a character", "[cli]") {
  CHECK(written("a\x80z") == "a�z");
  CHECK(written("\xff\xfe") == "��");
  CHECK(written("\xc0\xaf") == "��");            // a slash in two bytes
  CHECK(written("\xe0\x80\xaf") == "���");       // in three
  CHECK(written("\xed\xa0\x80") == "���");       // half of a surrogate pair
  CHECK(written("\xf4\x90\x80\x80") == "����");  // above U+10FFFF
  CHECK(written("\xf0\x80\x80\x80") == "����");
  CHECK(written("\xf5") == "�");
  CHECK(
      written("\xe2\x80"
              "A") == "�A");
  CHECK(written("\xe2\x80\xe2\x80\x94") == "�—");
  CHECK(written("\xf0\x9f\x90") == "�");
  CHECK(written("\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64") == "���b�c��d");
}

TEST_CASE("control characters are replaced", "[cli]") {
  CHECK(written("\x1b[31m") == "�[31m");
  CHECK(written(std::string("\0\a\b\x7f", 4)) == "����");
  CHECK(
      written("\xc2\x9b"
              "2J") == "�2J");  // U+009B, in one character what ESC [ begins
}

}  // namespace troupe::cli
