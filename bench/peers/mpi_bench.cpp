// An all_reduce of float32 by MPI over TCP, to be read beside net_bench's own, which runs it:
//
//   mpi_bench RANKS BYTES SUMS     as many processes; prints the median of rank 0, in microseconds

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

/// Open MPI's own start of as many of this program.
void start(char** argv) {
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
  // clang-format off
  execlp(
      "mpirun", "mpirun", "--oversubscribe", "--mca", "pml", "ob1", "--mca", "btl", "tcp,self",
      "--mca", "btl_tcp_if_include", "lo", "-n", argv[1], argv[0], argv[1], argv[2], argv[3],
      nullptr);
  // clang-format on
  std::perror("mpirun");
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  if (!std::getenv("OMPI_COMM_WORLD_SIZE")) start(argv);
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const int count = static_cast<int>(std::atoll(argv[2]) / 4);
  const int sums = std::atoi(argv[3]);
  std::vector<float> in(static_cast<std::size_t>(count), 1.0F);
  std::vector<float> out(in.size());
  std::vector<double> times;
  for (int i = 0; i < sums; ++i) {
    const double begin = MPI_Wtime();
    MPI_Allreduce(in.data(), out.data(), count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    times.push_back((MPI_Wtime() - begin) * 1e6);
  }
  if (out[0] != static_cast<float>(std::atoi(argv[1]))) std::abort();
  std::nth_element(times.begin(), times.begin() + sums / 2, times.end());
  if (rank == 0) std::printf("%.2f\n", times[static_cast<std::size_t>(sums / 2)]);
  MPI_Finalize();
}
