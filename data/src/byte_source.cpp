#include "byte_source.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>

namespace troupe::data {
namespace {

class PlainSource final : public ByteSource {
 public:
  PlainSource(std::unique_ptr<DiskFile> file, std::uint64_t size)
      : file_(std::move(file)), size_(size) {}

  Result<std::size_t> read(std::span<std::byte> into) override {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - offset_));
    if (auto done = file_->read(offset_, into.first(count)); !done) return done.error();
    offset_ += count;
    return count;
  }

  [[nodiscard]] std::uint64_t bytes_left_max() const override { return size_ - offset_; }

 private:
  std::unique_ptr<DiskFile> file_;
  std::uint64_t size_;
  std::uint64_t offset_ = 0;
};

class GzipSource final : public ByteSource {
 public:
  GzipSource(std::unique_ptr<DiskFile> file, std::uint64_t size, std::string path)
      : file_(std::move(file)), size_(size), path_(std::move(path)) {
    // 16 asks zlib for the gzip wrapper, whose checksum and length it then verifies.
    ready_ = inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK;
  }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;
  ~GzipSource() override {
    if (ready_) inflateEnd(&stream_);
  }

  Result<std::size_t> read(std::span<std::byte> into) override {
    if (!ready_) return Error(ErrorCode::out_of_memory, path_ + ": no memory to unpack it");
    std::size_t filled = 0;
    while (filled < into.size() && !ended_) {
      if (stream_.avail_in == 0) {
        if (auto refilled = refill(); !refilled) return refilled.error();
      }
      const std::size_t room = std::min<std::size_t>(into.size() - filled, std::size_t{1} << 30);
      stream_.next_out = reinterpret_cast<Bytef*>(into.data() + filled);
      stream_.avail_out = static_cast<uInt>(room);
      const int state = inflate(&stream_, Z_NO_FLUSH);
      filled += room - stream_.avail_out;
      if (state == Z_STREAM_END) {
        ended_ = true;
        if (compressed_offset() != size_) {
          return file_error(
              ErrorCode::file_corrupt,
              path_,
              compressed_offset(),
              "bytes follow the end of the compressed stream");
        }
      } else if (state != Z_OK && state != Z_BUF_ERROR) {
        const char* why = stream_.msg ? stream_.msg : "damaged";
        return file_error(
            ErrorCode::file_corrupt,
            path_,
            compressed_offset(),
            std::string("the compressed stream is not sound: ") + why);
      }
    }
    return filled;
  }

  [[nodiscard]] std::uint64_t bytes_left_max() const override {
    // 1032 is deflate's limit: 258 bytes from a match of two bits. The window may hold 32 KiB more.
    return ended_ ? 0 : (size_ - compressed_offset()) * 1032 + 32768;
  }

 private:
  /// Where in the compressed file the unpacking stands.
  [[nodiscard]] std::uint64_t compressed_offset() const { return offset_ - stream_.avail_in; }

  Result<void> refill() {
    if (offset_ == size_) {
      return file_error(
          ErrorCode::file_truncated, path_, size_, "the compressed stream breaks off here");
    }
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), size_ - offset_));
    if (auto done = file_->read(offset_, std::span(buffer_).first(count)); !done) return done;
    offset_ += count;
    stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
    stream_.avail_in = static_cast<uInt>(count);
    return {};
  }

  std::unique_ptr<DiskFile> file_;
  std::uint64_t size_;
  std::string path_;
  std::uint64_t offset_ = 0;
  z_stream stream_{};
  bool ready_ = false;
  bool ended_ = false;
  std::array<std::byte, 65536> buffer_{};
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_byte_source(Disk& disk, const std::string& path) {
  auto file = disk.open(path);
  if (!file) return file.error();
  auto size = file.value()->size();
  if (!size) return size.error();
  std::array<std::byte, 2> magic{};
  if (size.value() >= magic.size()) {
    if (auto done = file.value()->read(0, magic); !done) return done.error();
  }
  if (magic[0] == std::byte{0x1f} && magic[1] == std::byte{0x8b}) {
    return std::unique_ptr<ByteSource>(new GzipSource(std::move(file).value(), size.value(), path));
  }
  return std::unique_ptr<ByteSource>(new PlainSource(std::move(file).value(), size.value()));
}

}  // namespace troupe::data
