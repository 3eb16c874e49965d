// An all_reduce of float32 by Gloo over TCP, to be read beside net_bench's own, which runs it:
//
//   gloo_bench RANKS BYTES SUMS    as many processes; prints the median of rank 0, in microseconds

#include <gloo/algorithm.h>
#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace {

double median_us(int rank, int ranks, std::size_t bytes, int sums, const std::string& folder) {
  gloo::transport::tcp::attr where;
  where.iface = "lo";
  const auto store = std::make_shared<gloo::rendezvous::FileStore>(folder);
  const auto context = std::make_shared<gloo::rendezvous::Context>(rank, ranks);
  std::shared_ptr<gloo::transport::Device> device = gloo::transport::tcp::CreateDevice(where);
  context->connectFullMesh(store, device);
  std::vector<float> in(bytes / 4, 1.0F);
  std::vector<float> out(bytes / 4);
  std::vector<double> times;
  for (int i = 0; i < sums; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    gloo::AllreduceOptions options(context);
    options.setInput(in.data(), in.size());
    options.setOutput(out.data(), out.size());
    options.setReduceFunction(
        static_cast<void (*)(void*, const void*, const void*, std::size_t)>(&gloo::sum<float>));
    gloo::allreduce(options);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    times.push_back(passed.count() * 1e6);
  }
  if (out[0] != static_cast<float>(ranks)) std::abort();
  std::nth_element(times.begin(), times.begin() + sums / 2, times.end());
  return times[static_cast<std::size_t>(sums / 2)];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int ranks = std::atoi(argv[1]);
  const auto bytes = static_cast<std::size_t>(std::atoll(argv[2]));
  const int sums = std::atoi(argv[3]);
  std::string folder = (std::filesystem::temp_directory_path() / "gloo_bench.XXXXXX").string();
  if (!mkdtemp(folder.data())) return 1;
  for (int rank = 1; rank < ranks; ++rank) {
    if (fork() != 0) continue;
    (void)median_us(rank, ranks, bytes, sums, folder);
    _exit(0);
  }
  std::printf("%.2f\n", median_us(0, ranks, bytes, sums, folder));
  while (wait(nullptr) > 0) {
  }
  std::filesystem::remove_all(folder);
}
