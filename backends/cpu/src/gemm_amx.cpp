#include "gemm_tiles.hpp"
#include "limit_loops.hpp"
#include "narrow_sets.hpp"
#include "product_of.hpp"

#include <cstdint>

namespace troupe {
struct Matmul;  // have no attributes, so their names are all the kernels need
struct Linear;
}  // namespace troupe

namespace troupe::cpu {
namespace {

/// AMX's eight tile registers, all of 16 rows of 64 bytes. Taken by a thread for one chunk, for
/// whoever else uses them configures them anew.
///
/// Spelled in assembly, for the compiler's own functions want literals where templates have
/// numbers. The compiler uses no tile by itself, so nothing need be told of those that change.
class AmxTiles {
 public:
  AmxTiles() noexcept {
    struct alignas(64) {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const shape;
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  ~AmxTiles() { asm volatile("tilerelease" ::); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  template <int I>
  void zero() noexcept {
    asm volatile("tilezero %%tmm%c0" ::"i"(I));
  }
  template <int I>
  void load(const void* from, std::int64_t row_bytes) noexcept {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(I) : "memory");
  }
  template <int I>
  void store(void* to, std::int64_t row_bytes) noexcept {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(I) : "memory");
  }
  template <int Sums, int A, int B>
  void multiply() noexcept {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
  }
};

}  // namespace

template <>
void Kernel<Matmul, amx>::plan(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_matmul<amx>(call, vector);
  if (!plan_tiles<amx, AmxTiles>(call, plan, product, vector))
    Kernel<Matmul, avx512bf16>::plan(call, plan);
}

template <>
void Kernel<Linear, amx>::plan(const KernelCall& call, Plan& plan) {
  bool vector = false;
  const Product product = product_of_linear<amx>(call, vector);
  if (!plan_tiles<amx, AmxTiles>(call, plan, product, vector))
    Kernel<Linear, avx512bf16>::plan(call, plan);
}

template <>
double bfloat16_peak<amx>(std::int64_t rounds) noexcept {
  AmxTiles tiles;
  tiles.zero<0>();
  tiles.zero<1>();
  tiles.zero<2>();
  tiles.zero<3>();
  tiles.zero<4>();
  tiles.zero<5>();
  for (std::int64_t round = 0; round < rounds; ++round) {
    tiles.multiply<0, 4, 5>();
    tiles.multiply<1, 4, 5>();
    tiles.multiply<2, 4, 5>();
    tiles.multiply<3, 4, 5>();
  }
  constexpr double operations = 16 * 16 * 32 * 2;  // of an instruction
  return 4 * operations * static_cast<double>(rounds);
}

}  // namespace troupe::cpu
