#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace troupe {

template <class T>
concept PlainNumber = std::integral<T> || std::floating_point<T>;

/// A number as the caller wrote it. Whole ones keep all 64 bits, which a double would not.
class Number {
 public:
  enum class Kind : std::uint8_t { boolean, whole, fraction };

  constexpr Number() noexcept = default;
  template <PlainNumber T>
  constexpr Number(T number) noexcept {  // NOLINT: meant implicit
    if constexpr (std::floating_point<T>)
      set(static_cast<double>(number));
    else if constexpr (std::unsigned_integral<T> && sizeof(T) == 8)
      // What int64 cannot hold is no whole number to PyTorch either.
      if (number > static_cast<T>(std::numeric_limits<std::int64_t>::max()))
        set(static_cast<double>(number));
      else
        whole_ = static_cast<std::int64_t>(number);
    else
      whole_ = static_cast<std::int64_t>(number);
    if constexpr (std::is_same_v<T, bool>) kind_ = Kind::boolean;
  }

  [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
  [[nodiscard]] constexpr bool is_fraction() const noexcept { return kind_ == Kind::fraction; }

  /// The number in another type: whole ones wrap around where they do not fit, as in two's
  /// complement; fractions are cut toward 0 and end at the type's ends, NaN at 0.
  template <PlainNumber T>
  [[nodiscard]] constexpr T to() const noexcept {
    if constexpr (std::is_same_v<T, bool>) {
      return is_fraction() ? fraction_ != 0 : whole_ != 0;
    } else if constexpr (std::floating_point<T>) {
      return is_fraction() ? static_cast<T>(fraction_) : static_cast<T>(whole_);
    } else {
      if (!is_fraction()) return static_cast<T>(whole_);
      constexpr auto least = static_cast<double>(std::numeric_limits<T>::min());
      constexpr auto most = static_cast<double>(std::numeric_limits<T>::max());
      if (fraction_ != fraction_) return 0;
      if (fraction_ >= most) return std::numeric_limits<T>::max();
      return fraction_ > least ? static_cast<T>(fraction_) : std::numeric_limits<T>::min();
    }
  }

 private:
  constexpr void set(double fraction) noexcept {
    fraction_ = fraction;
    kind_ = Kind::fraction;
  }

  union {
    std::int64_t whole_ = 0;
    double fraction_;
  };
  Kind kind_ = Kind::whole;
};

}  // namespace troupe
