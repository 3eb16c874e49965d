// Division by numbers that are known when a kernel is launched, by a multiplication and shifts:
// Granlund and Montgomery, "Division by invariant integers using multiplication", 1994, figure 4.1.
// A device's own takes dozens of instructions. divisor.hpp makes the numbers.

struct Divisor {
  uint number;
  uint multiplier;
  uint shift;  // bits of number − 1
};

uint divide_by(uint n, uint multiplier, uint shift) {
  uint high, low;
  umulExtended(n, multiplier, high, low);
  const uint first = min(shift, 1u);
  return (high + ((n - high) >> first)) >> (shift - first);
}
uint divide(uint n, Divisor by) { return divide_by(n, by.multiplier, by.shift); }
