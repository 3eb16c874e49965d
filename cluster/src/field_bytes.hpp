#pragma once

#include <troupe/core/fields.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cluster {

/// Writes the fields it is shown one behind the other: numbers as eight bytes from the lowest up, a
/// bool as one, a text behind its length. For what a message carries beside its own fields, which
/// may be more than those may take.
///
/// Errors  `unsupported` for what cannot leave the process: addresses, functions, `Bytes`.
class FieldWriter final : public FieldVisitor {
 public:
  using FieldVisitor::field;
  void field(std::string_view name, bool& value) override;
  void field(std::string_view name, std::int64_t& value) override;
  void field(std::string_view name, std::uint64_t& value) override;
  void field(std::string_view name, double& value) override;
  void field(std::string_view name, std::string& value) override;
  void field(std::string_view name, Ref<ActorCell>& address) override;
  void field(std::string_view name, Bytes& bytes) override;
  void local(std::string_view name) override;
  void list_length(std::string_view name, std::uint64_t& length) override;

  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  /// What was written, which is then gone.
  [[nodiscard]] Bytes take();

 private:
  void put(std::uint64_t number);

  std::vector<std::byte> bytes_;
};

/// Reads what `FieldWriter` wrote, out of bytes from another process: nothing is reserved that is
/// not there.
///
/// Errors  `wire_corrupt`, naming the byte; `invalid_argument` for a number that its field cannot
///         hold.
class FieldReader final : public FieldVisitor {
 public:
  explicit FieldReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  using FieldVisitor::field;
  void field(std::string_view name, bool& value) override;
  void field(std::string_view name, std::int64_t& value) override;
  void field(std::string_view name, std::uint64_t& value) override;
  void field(std::string_view name, double& value) override;
  void field(std::string_view name, std::string& value) override;
  void field(std::string_view name, Ref<ActorCell>& address) override;
  void field(std::string_view name, Bytes& bytes) override;
  void list_length(std::string_view name, std::uint64_t& length) override;

  /// Must be called behind the last field: what is left over is an error.
  void end() const;

 private:
  [[nodiscard]] std::span<const std::byte> take(std::uint64_t count);
  [[nodiscard]] std::uint64_t number();
  [[noreturn]] void refuse(const std::string& reason) const;

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace troupe::cluster
