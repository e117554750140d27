/* bench_channel.c: the suite `channel`: muster, its rivals and the bare calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { ARGS_MAX = 16 };

/* One line of the suite. `line` is "PROGRAM ARG ...". */
struct row {
    const char *work;
    const char *runtime;
    const char *unit;
    const char *line;
    int more_is_better;
    int is_no_rival;
};

#define STREAM(title, size, unit, more)                                        \
    {title, "muster", unit, "muster stream shm: " size " " unit, more, 0},     \
        {title, "ZeroMQ, ipc", unit, "zmq stream " size " " unit, more, 0},    \
        {title, "nng, ipc", unit, "nng stream " size " " unit, more, 0},       \
    {                                                                          \
        title, "Open MPI", unit, "mpi stream " size " " unit, more, 0          \
    }
#define TRIP(title, size, unit)                                                \
    {title, "muster", unit, "muster rtt shm: " size " " unit, 0, 0},           \
        {title, "ZeroMQ, ipc", unit, "zmq rtt " size " " unit, 0, 0},          \
        {title, "nng, ipc", unit, "nng rtt " size " " unit, 0, 0},             \
    {                                                                          \
        title, "Open MPI", unit, "mpi rtt " size " " unit, 0, 0                \
    }
#define AGAINST_BARE(title, scheme, size)                                      \
    {title, "muster", "us", "muster rtt " scheme ": " size " us", 0, 0},       \
    {                                                                          \
        title, "bare calls", "us", "bare " scheme " " size " us", 0, 0         \
    }
#define THREE_SIZES(name, scheme)                                              \
    AGAINST_BARE(name ", 64 B, round trip", scheme, "64"),                     \
        AGAINST_BARE(name ", 4 KiB, round trip", scheme, "4096"),              \
        AGAINST_BARE(name ", 1 MiB, round trip", scheme, "1048576")

#define STREAM_64  "shm, 64 B, two processes, one at a time"
#define TRIP_AWAKE "shm, 64 B, round trip, both awake"
#define TRIP_SLEEP "shm, 64 B, round trip, asleep each time"

static const struct row rows[] = {
    STREAM(STREAM_64, "64", "M/s", 1),
    {STREAM_64, "boost.lockfree", "M/s", "boost stream 64 M/s", 1, 0},
    {STREAM_64, "ConcurrencyKit", "M/s", "ck stream 64 M/s", 1, 0},
    {TRIP_AWAKE, "muster", "ns", "muster rtt shm: 64 ns awake", 0, 0},
    {TRIP_AWAKE, "muster, threads", "ns", "muster rtt shm: 64 ns awake thread",
     0, 1},
    {TRIP_AWAKE, "boost.lockfree", "ns", "boost rtt 64 ns", 0, 0},
    {TRIP_AWAKE, "ConcurrencyKit", "ns", "ck rtt 64 ns", 0, 0},
    {TRIP_AWAKE, "a bare cache line", "ns", "bare line ns", 0, 1},
    {TRIP_SLEEP, "muster", "us", "muster rtt shm: 64 us sleep", 0, 0},
    {TRIP_SLEEP, "bare futex", "us", "bare futex us", 0, 0},
    TRIP("shm, 64 B, round trip, as it comes", "64", "us"),
    TRIP("shm, 4 KiB, round trip, as it comes", "4096", "us"),
    TRIP("shm, 1 MiB, round trip, as it comes", "1048576", "us"),
    STREAM("shm, 4 KiB, copied", "4096", "GB/s", 1),
    STREAM("shm, 64 KiB, copied", "65536", "GB/s", 1),
    STREAM("shm, 1 MiB, copied", "1048576", "GB/s", 1),
    {"shm, 1 MiB, copied", "one memcpy", "GB/s", "bare memcpy 1048576 GB/s", 1,
     1},
    {"shm, 64 B, lent", "muster", "ns", "muster lent shm: 64 ns", 0, 0},
    {"shm, 1 MiB, lent", "muster", "ns", "muster lent shm: 1048576 ns", 0, 0},
    THREE_SIZES("pipe", "pipe"),
    THREE_SIZES("unix", "unix"),
    THREE_SIZES("tcp", "tcp"),
    THREE_SIZES("mq", "mq"),
    {"file, 64 B appended", "muster", "M/s", "muster append 64 M/s", 1, 0},
    {"file, 64 B appended, 100 a call", "muster", "M/s",
     "muster append 64 M/s batch", 1, 0},
    {"file, 64 B, on the disk, 4 writers", "muster", "us",
     "muster append 64 us disk", 0, 0},
    {"file, 64 B, on the disk, 4 writers", "write, fdatasync; 1 writer", "us",
     "bare fdatasync 64 us", 0, 0},
    {"mutex, lock and unlock", "muster", "ns", "muster mutex ns", 0, 0},
    {"mutex, lock and unlock", "pthread", "ns", "bare pthread ns", 0, 0},
    {"mutex, lock and unlock", "two atomic exchanges", "ns", "bare exchange ns",
     0, 1},
    {"read lock and unlock", "muster", "ns", "muster reading ns", 0, 0},
    {"read lock and unlock", "pthread", "ns", "bare reading ns", 0, 0},
    {"write lock and unlock", "muster", "ns", "muster writing ns", 0, 0},
    {"write lock and unlock", "pthread", "ns", "bare writing ns", 0, 0},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

/* Programs of this suite; an empty path: not built, and why. */
static const struct {
    const char *name;
    const char *path;
    const char *missing;
} programs[] = {
    {"muster", CHANNEL_MUSTER, ""},
    {"bare", CHANNEL_BARE, ""},
    {"boost", CHANNEL_BOOST, "no boost: install libboost-dev"},
    {"ck", CHANNEL_CK, "no ConcurrencyKit: install libck-dev"},
    {"zmq", CHANNEL_ZMQ, "no ZeroMQ: install libzmq3-dev"},
    {"nng", CHANNEL_NNG, "no nng: install libnng-dev"},
    {"mpi", CHANNEL_MPI, "no Open MPI: install libopenmpi-dev"},
};

/* Take a line apart into argv; the strings live for ever. */
static void argv_make(const char *line, const char **argv, size_t *ret_program)
{
    char *text = strdup(line);
    char *rest = text;
    char *word = text ? strsep(&rest, " ") : NULL;
    size_t n = 0;

    if (!word)
        exit(1);
    for (*ret_program = 0; strcmp(programs[*ret_program].name, word) != 0;)
        (*ret_program)++;
    if (strcmp(word, "mpi") == 0) {
        static const char *const mpiexec[] = {
            CHANNEL_MPIEXEC,
            "--allow-run-as-root",
            "--oversubscribe",
            "--bind-to",
            "none",
            "-n",
            "2", /* the ranks bind themselves */
        };

        for (size_t i = 0; i < sizeof mpiexec / sizeof *mpiexec; i++)
            argv[n++] = mpiexec[i];
    }
    argv[n++] = programs[*ret_program].path;
    while (n < ARGS_MAX - 1 && (word = strsep(&rest, " ")))
        argv[n++] = word;
    argv[n] = NULL;
}

int main(int argc, char **argv)
{
    static struct bench_entry entries[N_ROWS];
    static const char *lines[N_ROWS][ARGS_MAX];
    struct bench_suite suite = {.name = "channel", .our_name = "muster"};

    if (bench_options(&suite, argc, argv) != 0)
        return 2;
    for (size_t i = 0; i < N_ROWS; i++) {
        size_t p;

        argv_make(rows[i].line, lines[i], &p);
        entries[i] = (struct bench_entry){
            .work = rows[i].work,
            .runtime = rows[i].runtime,
            .unit = rows[i].unit,
            .argv = lines[i],
            .more_is_better = rows[i].more_is_better,
            .is_no_rival = rows[i].is_no_rival,
            .missing = programs[p].path[0] ? NULL : programs[p].missing,
        };
    }
    return bench_run(&suite, entries, N_ROWS, stdout);
}
