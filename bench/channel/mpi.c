/* mpi.c: an MPI library between two ranks of one machine, which is its shared memory.
 * Run by mpiexec -n 2.
 *   stream|rtt SIZE UNIT */
#include <mpi.h>

#include "common.h"

int main(int argc, char **argv)
{
    int is_stream;
    int rank;
    int size;
    uint64_t n;
    char *bytes;
    int64_t from;

    if (argc < 4)
        return 2;
    is_stream = strcmp(argv[1], "stream") == 0;
    size = atoi(argv[2]);
    n = is_stream ? n_stream((size_t)size) / (size <= 256 ? 5 : 1)
                  : n_round_trips((size_t)size) * (size <= 8192 ? 20 : 1);
    bytes = calloc(1, (size_t)size);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    bind_to(rank == 0 ? 1 : 2);
    MPI_Barrier(MPI_COMM_WORLD);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        if (rank == 0)
            MPI_Send(bytes, size, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
        else
            MPI_Recv(bytes, size, MPI_BYTE, 0, 0, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        if (is_stream)
            continue;
        if (rank == 1)
            MPI_Send(bytes, size, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
        else
            MPI_Recv(bytes, size, MPI_BYTE, 1, 0, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    from = bench_now_ns() - from;
    MPI_Finalize();
    return rank == 0 ? figure(argv[3], n, (size_t)size, from) : 0;
}
