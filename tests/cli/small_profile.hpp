#pragma once

#include <troupe/autograd/profile.hpp>
#include <troupe/cpu/limits.hpp>

/// What the tests of profiles look at: numbers that can be checked by hand.
namespace troupe::cli::test {

/// 100 GFLOP/s; 50 GB/s up to 1 MB, 10 GB/s beyond.
inline cpu::Limits small_limits() {
  cpu::Limits limits;
  limits.threads = 1;
  limits.float32 = {100e9, 100e9};
  limits.memory = {
      {"L2", 1'000'000, 1, {40e9, 40e9}, {50e9, 50e9}}, {"RAM", 0, 1, {10e9, 10e9}, {9e9, 9e9}}};
  return limits;
}

/// Of two products, which compute, and a sum, which reads.
inline ProgramProfile small_profile() {
  ProgramProfile profile;
  profile.steps = 20;
  profile.seconds = 11e-3;
  profile.ops = {
      {.name = "linear + relu",
       .result = "float32[2, 3]",
       .cost = {1e8, 1e6},
       .seconds = 2e-3,
       .began = 0,
       .ended = 2.5e-3},
      {.name = "sum",
       .vjp_of = "add",
       .result = "float32[<3>]",
       .cost = {1e6, 2e7},
       .seconds = 4e-3,
       .began = 3e-3,
       .ended = 7e-3},
      {.name = "linear + relu",
       .result = "float32[4, 3]",
       .cost = {2e8, 1e6},
       .seconds = 4e-3,
       .began = 7e-3,
       .ended = 10e-3},
      {.name = "reshape", .late = true, .result = "float32[1]", .began = 10e-3, .ended = 10e-3}};
  return profile;
}

}  // namespace troupe::cli::test
