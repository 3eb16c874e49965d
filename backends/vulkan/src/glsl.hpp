#pragma once

#include <troupe/tensor/dtype.hpp>

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

/// Elementwise ops write their expression once, for whatever type computes it (`kernel` in the op's
/// header). Here that type writes down what it is asked to do, as GLSL: one line a step, so that
/// what is used twice is computed once.
namespace troupe::vulkan {

/// The lines of one expression while it is written.
class GlslLines {
 public:
  /// Everything written on this thread goes to `lines` until the guard goes.
  class Guard {
   public:
    explicit Guard(GlslLines& lines) noexcept : before_(std::exchange(current(), &lines)) {}
    ~Guard() { current() = before_; }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    GlslLines* before_;
  };

  /// Declares the next name as `type` with this value; returns the name.
  static std::string declare(std::string_view type, const std::string& value) {
    GlslLines& lines = *current();
    std::string name = "v" + std::to_string(lines.count_++);
    // `precise`: no multiplication and addition becomes one rounding, here or on another driver.
    lines.text += "  precise " + std::string(type) + " " + name + " = " + value + ";\n";
    return name;
  }
  /// The expression needs something that GLSL does not have for this type.
  static void refuse() noexcept { current()->refused = true; }

  std::string text;
  bool refused = false;

 private:
  static GlslLines*& current() noexcept {
    thread_local GlslLines* lines = nullptr;
    return lines;
  }
  int count_ = 0;
};

/// How a C++ type is called there.
template <class T>
constexpr std::string_view glsl_name() {
  if constexpr (std::is_same_v<T, float>) return "float";
  if constexpr (std::is_same_v<T, double>) return "double";
  if constexpr (std::is_same_v<T, std::int32_t>) return "int";
  if constexpr (std::is_same_v<T, std::int64_t>) return "int64_t";
  return "uint8_t";  // uint8 and bool
}

struct GlslMask {
  std::string text;
  friend GlslMask operator&(const GlslMask& a, const GlslMask& b) {
    return {GlslLines::declare("bool", a.text + " && " + b.text)};
  }
  friend GlslMask operator|(const GlslMask& a, const GlslMask& b) {
    return {GlslLines::declare("bool", a.text + " || " + b.text)};
  }
  friend GlslMask operator^(const GlslMask& a, const GlslMask& b) {
    return {GlslLines::declare("bool", a.text + " != " + b.text)};
  }
  friend GlslMask operator!(const GlslMask& a) {
    return {GlslLines::declare("bool", "!" + a.text)};
  }
};

/// A number of type T in an expression: see `cpu::Pack` for the words it must know.
template <class T>
class GlslNumber {
 public:
  using Number = T;
  using Mask = GlslMask;
  static constexpr bool floating = std::floating_point<T>;

  template <class N>
  requires std::is_arithmetic_v<N> GlslNumber(N number)  // NOLINT: meant implicit
      : text_(literal(static_cast<T>(number))) {}
  static GlslNumber named(std::string name) {
    GlslNumber number;
    number.text_ = std::move(name);
    return number;
  }
  static GlslNumber from(double number) {
    if constexpr (floating) return static_cast<T>(number);
    constexpr double least = static_cast<double>(std::numeric_limits<T>::min());
    constexpr double most = static_cast<double>(std::numeric_limits<T>::max());
    if (number >= most) return std::numeric_limits<T>::max();
    return number > least ? static_cast<T>(number) : std::numeric_limits<T>::min();
  }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

  friend GlslNumber operator+(const GlslNumber& a, const GlslNumber& b) {
    return binary(a, " + ", b);
  }
  friend GlslNumber operator-(const GlslNumber& a, const GlslNumber& b) {
    return binary(a, " - ", b);
  }
  friend GlslNumber operator*(const GlslNumber& a, const GlslNumber& b) {
    return binary(a, " * ", b);
  }
  friend GlslNumber operator/(const GlslNumber& a, const GlslNumber& b) requires floating {
    return declare(a.text_ + " / " + b.text_);
  }
  friend GlslNumber operator-(const GlslNumber& a) {
    if constexpr (std::is_same_v<T, bool>) return a;
    if constexpr (std::is_same_v<T, std::uint8_t>) return GlslNumber(0) - a;
    return declare("-" + a.text_);
  }
  friend Mask operator==(const GlslNumber& a, const GlslNumber& b) { return ask(a, " == ", b); }
  friend Mask operator!=(const GlslNumber& a, const GlslNumber& b) { return ask(a, " != ", b); }
  friend Mask operator<(const GlslNumber& a, const GlslNumber& b) { return ask(a, " < ", b); }
  friend Mask operator<=(const GlslNumber& a, const GlslNumber& b) { return ask(a, " <= ", b); }
  friend Mask operator>(const GlslNumber& a, const GlslNumber& b) { return ask(a, " > ", b); }
  friend Mask operator>=(const GlslNumber& a, const GlslNumber& b) { return ask(a, " >= ", b); }
  friend Mask is_nan(const GlslNumber& a) { return predicate("t_isnan", a); }
  friend Mask is_infinite(const GlslNumber& a) { return predicate("t_isinf", a); }

  friend GlslNumber select(const Mask& mask, const GlslNumber& yes, const GlslNumber& no) {
    return declare(mask.text + " ? " + yes.text_ + " : " + no.text_);
  }
  friend GlslNumber max(const GlslNumber& a, const GlslNumber& b) { return call("t_max", a, b); }
  friend GlslNumber min(const GlslNumber& a, const GlslNumber& b) { return call("t_min", a, b); }
  /// Bounds for what is no NaN, or ends in one anyway.
  friend GlslNumber at_least(double low, const GlslNumber& a) requires floating {
    return declare("max(" + literal(static_cast<T>(low)) + ", " + a.text_ + ")");
  }
  friend GlslNumber at_most(double high, const GlslNumber& a) requires floating {
    return declare("min(" + literal(static_cast<T>(high)) + ", " + a.text_ + ")");
  }
  friend GlslNumber abs(const GlslNumber& a) {
    if constexpr (std::is_unsigned_v<T>) return a;
    return declare("abs(" + a.text_ + ")");
  }
  friend GlslNumber copysign(const GlslNumber& a, const GlslNumber& b) {
    return call("t_copysign", a, b);
  }
  friend GlslNumber sqrt(const GlslNumber& a) { return call("sqrt", a); }
  friend GlslNumber floor(const GlslNumber& a) { return whole("floor", a); }
  friend GlslNumber ceil(const GlslNumber& a) { return whole("ceil", a); }
  friend GlslNumber trunc(const GlslNumber& a) { return whole("trunc", a); }
  friend GlslNumber round(const GlslNumber& a) { return whole("t_round", a); }
  friend GlslNumber fma(const GlslNumber& a, const GlslNumber& b, const GlslNumber& c) {
    return declare("fma(" + a.text_ + ", " + b.text_ + ", " + c.text_ + ")");
  }
  friend GlslNumber exp(const GlslNumber& a) { return real("t_exp", a); }
  friend GlslNumber exp_scaled(const GlslNumber& a, const GlslNumber& shift) {
    if constexpr (!std::is_same_v<T, float>) GlslLines::refuse();
    return call("t_exp_scaled", a, shift);
  }
  friend GlslNumber exp2(const GlslNumber& a, const GlslNumber& low) {
    if constexpr (!std::is_same_v<T, float>) GlslLines::refuse();
    return call("t_exp2", a, low);
  }
  friend GlslNumber expm1(const GlslNumber& a) { return real("t_expm1", a); }
  friend GlslNumber log(const GlslNumber& a) { return real("t_log", a); }
  friend GlslNumber log1p(const GlslNumber& a) { return real("t_log1p", a); }
  friend GlslNumber tanh(const GlslNumber& a) { return real("t_tanh", a); }
  friend GlslNumber sin(const GlslNumber& a) { return real("t_sin", a); }
  friend GlslNumber cos(const GlslNumber& a) { return real("t_cos", a); }
  friend GlslNumber erf(const GlslNumber& a) { return real("t_erf", a); }
  friend GlslNumber normal_tail(const GlslNumber& a) { return real("t_normal_tail", a); }
  friend GlslNumber pow(const GlslNumber& a, const GlslNumber& b) {
    if constexpr (std::is_same_v<T, double>) GlslLines::refuse();
    return call("t_pow", a, b);
  }
  friend GlslNumber fmod(const GlslNumber& a, const GlslNumber& b) { return call("t_fmod", a, b); }
  friend GlslNumber div_trunc(const GlslNumber& a, const GlslNumber& b) {
    return call("t_div_trunc", a, b);
  }
  friend GlslNumber div_floor(const GlslNumber& a, const GlslNumber& b) {
    return call("t_div_floor", a, b);
  }

  /// By its bits, so that nothing is lost on the way.
  static std::string literal(T number) {
    if constexpr (std::is_same_v<T, float>)
      return "uintBitsToFloat(" + std::to_string(std::bit_cast<std::uint32_t>(number)) + "u)";
    else if constexpr (std::is_same_v<T, double>)
      return "packDouble2x32(" + halves(std::bit_cast<std::uint64_t>(number)) + ")";
    else if constexpr (std::is_same_v<T, std::int64_t>)
      return "int64_t(packUint2x32(" + halves(static_cast<std::uint64_t>(number)) + "))";
    else
      return std::string(glsl_name<T>()) + "(" +
             std::to_string(static_cast<std::uint32_t>(number)) + "u)";
  }

 private:
  GlslNumber() = default;
  static std::string halves(std::uint64_t bits) {
    return "uvec2(" + std::to_string(static_cast<std::uint32_t>(bits)) + "u, " +
           std::to_string(static_cast<std::uint32_t>(bits >> 32)) + "u)";
  }
  static GlslNumber declare(const std::string& value) {
    return named(GlslLines::declare(glsl_name<T>(), value));
  }
  /// Sums and products wrap around; on bool they are "or" and "and".
  static GlslNumber binary(const GlslNumber& a, const char* sign, const GlslNumber& b) {
    const std::string value = a.text_ + sign + b.text_;
    if constexpr (std::is_same_v<T, bool>)
      return declare("uint8_t((" + value + ") != uint8_t(0u))");
    else if constexpr (std::is_same_v<T, std::uint8_t>)
      return declare("uint8_t(" + value + ")");
    else
      return declare(value);
  }
  static Mask ask(const GlslNumber& a, const char* sign, const GlslNumber& b) {
    return {GlslLines::declare("bool", a.text_ + sign + b.text_)};
  }
  static Mask predicate(const char* name, const GlslNumber& a) {
    if constexpr (!floating) return {"false"};
    return {GlslLines::declare("bool", name + ("(" + a.text_) + ")")};
  }
  static GlslNumber call(const char* name, const GlslNumber& a) {
    return declare(name + ("(" + a.text_) + ")");
  }
  static GlslNumber call(const char* name, const GlslNumber& a, const GlslNumber& b) {
    return declare(name + ("(" + a.text_) + ", " + b.text_ + ")");
  }
  static GlslNumber whole(const char* name, const GlslNumber& a) {
    if constexpr (!floating) return a;
    return call(name, a);
  }
  /// A function that is written for float alone.
  static GlslNumber real(const char* name, const GlslNumber& a) {
    if constexpr (!std::is_same_v<T, float>) GlslLines::refuse();
    return call(name, a);
  }

  std::string text_;
};

}  // namespace troupe::vulkan
