#include "bytes.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/npy.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace {

namespace io = troupe::io;
using io::test::bytes_of;
using io::test::values_of;
using troupe::DType;
using troupe::ErrorCode;
using troupe::sim::MemoryDisk;

/// A file that NumPy wrote, by make_npy.py.
std::string numpy_file(const std::string& name) {
  return std::string(TROUPE_TEST_FILES) + "/" + name + ".npy";
}

troupe::Result<io::HostTensor> read_numpy(const std::string& name) {
  return io::read_npy(*troupe::make_real_disk(), numpy_file(name));
}

/// A version 1.0 file with this header.
std::string file_of(const std::string& header, const std::string& elements = "") {
  return "\x93NUMPY" + std::string("\1\0", 2) + io::test::little_endian(header.size(), 2) + header +
         elements;
}

troupe::Error error_of(const std::string& content) {
  MemoryDisk disk;
  disk.put("f", bytes_of(content));
  const auto tensor = io::read_npy(disk, "f");
  REQUIRE_FALSE(tensor.ok());
  return tensor.error();
}

}  // namespace

TEST_CASE("NumPy's files are read", "[io]") {
  const auto floats = read_numpy("float32").value();
  CHECK(floats.shape() == troupe::Shape{2, 3});
  CHECK(values_of<float>(floats) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(floats.name() == numpy_file("float32"));
  CHECK(read_numpy("scalar").value().shape().empty());
  CHECK(values_of<double>(read_numpy("scalar").value()) == std::vector<double>{0.1});
  CHECK(
      values_of<std::int64_t>(read_numpy("int64").value()) ==
      std::vector<std::int64_t>{-1, (std::int64_t{1} << 53) + 1});
  CHECK(read_numpy("bool").value().dtype() == DType::boolean);
  CHECK(values_of<std::uint8_t>(read_numpy("bool").value()) == std::vector<std::uint8_t>{1, 0});
  CHECK(
      values_of<std::uint16_t>(read_numpy("half").value()) ==
      std::vector<std::uint16_t>{0x3c00, 0xc000});
  CHECK(read_numpy("empty").value().shape() == troupe::Shape{0, 4});
  CHECK(
      values_of<std::int32_t>(read_numpy("big_endian").value()) ==
      std::vector<std::int32_t>{1, -2, 300});
  CHECK(
      values_of<std::int32_t>(read_numpy("version2").value()) ==
      std::vector<std::int32_t>{0, 1, 2});
}

TEST_CASE("what we write is what NumPy writes, byte for byte", "[io]") {
  const auto real = troupe::make_real_disk();
  for (const char* name : {"float32", "scalar", "int64", "bool", "half", "empty"}) {
    CAPTURE(name);
    MemoryDisk disk;
    io::write_npy(disk, "copy", read_numpy(name).value()).value();
    CHECK(disk.read_all("copy").value() == real->read_all(numpy_file(name)).value());
  }
}

TEST_CASE("arrays that Troupe cannot hold are unsupported", "[io]") {
  const auto fortran = read_numpy("fortran");
  REQUIRE_FALSE(fortran.ok());
  CHECK(fortran.error().code() == ErrorCode::unsupported);
  CHECK(fortran.error().hint() == "save it with numpy.ascontiguousarray");
  const auto foreign = read_numpy("uint16");
  REQUIRE_FALSE(foreign.ok());
  CHECK(foreign.error().code() == ErrorCode::unsupported);
  CHECK(
      foreign.error().message() ==
      numpy_file("uint16") + ": holds elements of NumPy's dtype '<u2'");
  MemoryDisk disk;
  const io::HostTensor brain("w", DType::bfloat16, {1}, std::vector<std::byte>(2));
  const auto written = io::write_npy(disk, "f", brain);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code() == ErrorCode::unsupported);
  CHECK_FALSE(disk.exists("f"));
}

TEST_CASE("hostile npy files are typed errors", "[io]") {
  struct Case {
    const char* what;
    std::string content;
    ErrorCode code;
    std::string message;  ///< its beginning
  };
  const auto dict = [](const std::string& dtype, const std::string& shape) {
    return "{'descr': '" + dtype + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  };
  const auto corrupt = ErrorCode::file_corrupt;
  const auto truncated = ErrorCode::file_truncated;
  const std::string good = file_of(dict("<f4", "(1,)"), "1234");
  const Case cases[] = {
      {"empty", "", truncated, "f: at byte 0: the file ends before NumPy's header"},
      {"no magic", "PK\3\4" + good, corrupt, "f: at byte 0: not NumPy's format"},
      {"format 9",
       "\x93NUMPY\x09" + good.substr(7),
       ErrorCode::unsupported,
       "f: at byte 6: format 9"},
      {"header beyond the file",
       good.substr(0, 40),
       truncated,
       "f: at byte 40: the file ends within"},
      {"huge header",
       "\x93NUMPY" + std::string("\2\0\xff\xff\xff\xff", 6) + good,
       corrupt,
       "f: at byte 8: a header of 4294967295 bytes"},
      {"no dict", file_of("[]"), corrupt, "f: at byte 10: in the header: no dict"},
      {"empty dict", file_of("{}"), corrupt, "f: at byte 12: in the header: descr"},
      {"unknown field", file_of("{'x': 1}"), corrupt, "f: at byte 15: in the header: a field"},
      {"field twice",
       file_of("{'descr': '<f4', 'descr': '<f4'}"),
       corrupt,
       "f: at byte 35: in the header: a field is given twice"},
      {"open string", file_of("{'descr"), corrupt, "f: at byte 11: in the header: no name"},
      {"text after the dict", file_of(dict("<f4", "(1,)") + "x"), corrupt, "f: at byte "},
      {"no byte order", file_of(dict("f4", "(1,)")), corrupt, "f: at byte "},
      {"object", file_of(dict("|O", "(1,)")), ErrorCode::unsupported, "f: holds elements of"},
      {"negative size", file_of(dict("<f4", "(-1,)")), corrupt, "f: at byte "},
      {"size above 2^63", file_of(dict("<f4", "(9223372036854775808,)")), corrupt, "f: at byte "},
      {"product overflows",
       file_of(dict("<f4", "(4294967296, 4294967296, 4294967296)")),
       corrupt,
       "f: at byte 10: the shape [4294967296, 4294967296, 4294967296] overflows"},
      {"nine dimensions",
       file_of(dict("<f4", "(1,1,1,1,1,1,1,1,1)")),
       ErrorCode::unsupported,
       "f: has more than 8 dimensions"},
      {"shape of words", file_of(dict("<f4", "(a,)")), corrupt, "f: at byte "},
      {"order of words", file_of("{'fortran_order': Maybe}"), corrupt, "f: at byte "},
      {"more than is there",
       file_of(dict("<f4", "(1099511627776,)"), "1234"),
       truncated,
       "f: at byte "},
      {"one byte short", good.substr(0, good.size() - 1), truncated, "f: at byte "},
      {"one byte long", good + "x", corrupt, "f: at byte "},
      {"bool that is 2", file_of(dict("|b1", "(1,)"), "\2"), corrupt, "f: at byte "},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.what);
    const auto error = error_of(wrong.content);
    CHECK(to_string(error.code()) == to_string(wrong.code));
    CHECK(error.message().substr(0, wrong.message.size()) == wrong.message);
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK(error_of(good.substr(0, size)).code() == truncated);
  }
}
