// Troupe inside somebody else's program: the host owns the threads, fits a curve with an op of its
// own, and has two systems in one process, of which nothing is left at the end.
#include "host_threads.hpp"
#include "signed_square.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/core/system.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

using namespace troupe;

/// Fits y = (2x − 1)·|2x − 1| by gradient descent; returns the last loss.
double fit(System& system, std::uint64_t seed, int steps) {
  Device& cpu = cpu::attach(system);
  SignedSquare::attach(cpu);
  Scope scope(system, cpu);
  scope.seed(seed);

  std::vector<float> xs, ys;
  for (int i = 0; i < 64; ++i) {
    const float x = float(i) / 32 - 1;
    xs.push_back(x);
    ys.push_back((2 * x - 1) * std::abs(2 * x - 1));
  }
  const Tensor x = Tensor::copy_of<float>(xs, {64, 1});
  const Tensor y = Tensor::copy_of<float>(ys, {64, 1});

  nn::Linear line(1, 1);
  optim::Adam optimizer(line.parameters(), {.lr = 0.05});
  Tensor loss;
  for (int step = 0; step < steps; ++step) {
    const Tensor error = signed_square(line(x)) - y;
    loss = mean(error * error);
    optimizer.zero_grad();
    backward(loss);
    optimizer.step();
  }
  return loss.item();
}

/// Waits until nothing that `fit` made is left: actors end by themselves once nobody can reach
/// them. Throws if some stay.
void expect_clean(System& system) {
  system.wait_until([&] { return system.actors_alive() == 0; }, "the last actor to end");
}

int main(int argc, char** argv) try {
  const int steps = argc > 1 ? std::max(1, std::atoi(argv[1])) : 500;
  HostThreads threads(1);  // the host lends one thread; the other is its own, which waits in item()
  System::Options lent;
  lent.threads = 2;
  lent.executor = &threads;
  System::Options alone;
  alone.threads = 1;  // no thread but the caller's
  System one(lent), two(alone);

  const double first = fit(one, 1, steps);
  const double second = fit(two, 1, steps);
  std::printf("loss %.3g with a lent thread, %.3g without\n", first, second);
  expect_clean(one), expect_clean(two);
  std::printf("both systems ended clean\n");
  return (first < 1e-3 || steps < 500) && first == second ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
