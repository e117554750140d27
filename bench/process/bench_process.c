/* bench_process.c: the suite `process`: isolation and what it costs. */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

#define MUSTER(...)                                                            \
    .argv = (const char *const[])                                              \
    {                                                                          \
        PROCESS_MUSTER, __VA_ARGS__, NULL                                      \
    }
#define HAND(...)                                                              \
    .argv = (const char *const[])                                              \
    {                                                                          \
        PROCESS_HAND, __VA_ARGS__, NULL                                        \
    }
#define PYTHON(...)                                                            \
    .argv = (const char *const[])                                              \
    {                                                                          \
        PROCESS_PYTHON, PROCESS_RIVALS, __VA_ARGS__, NULL                      \
    }
/* one rank submits, four run tasks */
#define MPI4PY(...)                                                            \
    .argv = (const char *const[])                                              \
    {                                                                          \
        PROCESS_MPIEXEC, "--allow-run-as-root", "--oversubscribe", "-n", "5",  \
            PROCESS_MPI_PYTHON, "-m", "mpi4py.futures", PROCESS_RIVALS, "mpi", \
            __VA_ARGS__, NULL                                                  \
    }
/* a supervisor that is killed */
#define ORPHANS(...)                                                           \
    .argv = (const char *const[])                                              \
    {                                                                          \
        PROCESS_ORPHANS, __VA_ARGS__, NULL                                     \
    }
#define NO_MPI4PY (PROCESS_MPIEXEC[0] ? NULL : "no mpiexec.openmpi")
#define NO_PYTHON (PROCESS_PYTHON[0] ? NULL : "no python3")

int main(int argc, char **argv)
{
    static const char round_trip[] = "round trip of one empty task, both awake";
    static const char lines[] =
        "the same, beside a cache line between the same two CPUs";
    static const char rate[] = "empty tasks of 16 bytes from one thread, all";
    static const char rate_1[] = "empty tasks of 16 bytes, one worker";
    static const char strict[] =
        "an empty task that sees nothing of those before it, one worker";
    static const char borrowed[] = "inputs in shared memory, one worker";
    static const char small[] = "4 KiB in and out, one worker";
    static const char large[] = "1 MiB in and out, one worker";
    static const char opening[] = "opening a pool of 4";
    static const char hand_over[] = "crash to next task on the replacement";
    static const char crashes[] = "1 M tasks, 1,000 of them crash";
    static const char lost[] = "40 tasks, one crashes: not done";
    static const char executor[] = "Python ProcessPoolExecutor";
    static const char pool[] = "Python multiprocessing.Pool";
    static const char mpi[] = "mpi4py.futures";
    static const char orphans[] =
        "processes left 1 s after a kill of their supervisor, 4 busy tasks";
    static const char orphaned[] = "from that kill until none was left";
    static const char busy_xargs[] =
        "exec xargs -P4 -n1 sh -c 'printf b; while :; do :; done' <<E\n"
        "1\n2\n3\n4\nE\n";
    const struct bench_entry entries[] = {
        {round_trip, "muster", "us", MUSTER("round-trip", "processes:1")},
        {round_trip, "muster threads", "us", MUSTER("round-trip", "threads:1"),
         .is_no_rival = 1},
        {round_trip, "pipes by hand", "us", HAND("pipe-round-trip")},
        {round_trip, "a fork a task", "us", HAND("fork-round-trip")},
        {round_trip, executor, "us", PYTHON("executor", "round-trip"),
         .missing = NO_PYTHON},
        {round_trip, pool, "us", PYTHON("pool", "round-trip"),
         .missing = NO_PYTHON},
        {round_trip, mpi, "us", MPI4PY("round-trip"), .missing = NO_MPI4PY},
        {lines, "muster", "lines", MUSTER("round-trip-lines", "processes:1")},
        {lines, "muster threads", "lines",
         MUSTER("round-trip-lines", "threads:1"), .is_no_rival = 1},

        {rate_1, "muster", "M/s", MUSTER("rate", "processes:1"),
         .more_is_better = 1},
        {rate_1, "muster, by mu_map()", "M/s",
         MUSTER("map-rate", "processes:1"), .more_is_better = 1},
        {rate_1, "muster threads", "M/s", MUSTER("rate", "threads:1"),
         .more_is_better = 1, .is_no_rival = 1},
        {strict, "muster, strict", "us", MUSTER("strict", "processes:1")},
        {strict, "muster, strict, that makes a system call", "us",
         MUSTER("strict-call", "processes:1")},
        {strict, "a fork a task", "us", HAND("fork-round-trip")},
        {rate, "muster, by mu_map()", "M/s", MUSTER("map-rate", "processes:4"),
         .more_is_better = 1},
        {rate, "muster", "M/s", MUSTER("rate", "processes:4"),
         .more_is_better = 1},
        {rate, "muster threads", "M/s", MUSTER("rate", "threads:4"),
         .more_is_better = 1, .is_no_rival = 1},
        {rate, "bare rings of a line a task", "M/s", HAND("ring-rate"),
         .more_is_better = 1, .is_no_rival = 1},
        {rate, "pipes by hand", "M/s", HAND("pipe-rate"), .more_is_better = 1},
        {rate, "a fork a task", "M/s", HAND("fork-rate"), .more_is_better = 1},
        {rate, "xargs -P4 true", "M/s", HAND("xargs-rate"),
         .more_is_better = 1},
        {rate, executor, "M/s", PYTHON("executor", "rate"), .more_is_better = 1,
         .missing = NO_PYTHON},
        {rate, pool, "M/s", PYTHON("pool", "rate"), .more_is_better = 1,
         .missing = NO_PYTHON},
        {rate, mpi, "M/s", MPI4PY("rate"), .more_is_better = 1,
         .missing = NO_MPI4PY},

        {borrowed, "muster", "k/s", MUSTER("borrowed-64k", "processes:1"),
         .more_is_better = 1},
        {borrowed, "muster, 64 bytes", "k/s",
         MUSTER("borrowed-64", "processes:1"), .more_is_better = 1,
         .is_no_rival = 1},
        {small, "muster", "GB/s", MUSTER("copied-4k", "processes:1"),
         .more_is_better = 1},
        {small, "memcpy twice, by two CPUs", "GB/s", HAND("copy-across-4k"),
         .more_is_better = 1, .is_no_rival = 1},
        {small, "memcpy twice, by one CPU", "GB/s", HAND("copy-4k"),
         .more_is_better = 1, .is_no_rival = 1},
        {large, "muster", "GB/s", MUSTER("copied-1m", "processes:1"),
         .more_is_better = 1},
        {large, "memcpy twice, by two CPUs", "GB/s", HAND("copy-across-1m"),
         .more_is_better = 1, .is_no_rival = 1},
        {large, "memcpy twice, by one CPU", "GB/s", HAND("copy-1m"),
         .more_is_better = 1, .is_no_rival = 1},

        {opening, "muster", "ms", MUSTER("open")},
        {opening, "muster, 4 GB parent", "ms", MUSTER("open-4g"),
         .is_no_rival = 1},
        {hand_over, "muster", "us", MUSTER("hand-over")},
        {hand_over, "muster, it held 1 GB", "us", MUSTER("hand-over-1g"),
         .is_no_rival = 1},
        {hand_over, "a sleeping process woken", "us", HAND("wake"),
         .is_no_rival = 1},
        {crashes, "muster", "s", MUSTER("crashes", "processes:4")},
        {crashes, "muster, without crashes", "s",
         MUSTER("no-crashes", "processes:4"), .is_no_rival = 1},
        {"unique memory of an idle worker", "muster", "KiB",
         MUSTER("idle-uss")},
        {"CPU time of an idle pool in 5 s", "muster", "ms", MUSTER("idle-cpu")},
        {lost, "muster", "tasks", MUSTER("lost", "processes:4")},
        {lost, executor, "tasks", PYTHON("executor", "lost"),
         .missing = NO_PYTHON},

        {orphans, "muster", "left",
         ORPHANS(PROCESS_MUSTER, "busy", "processes:4")},
        {orphans, "xargs -P4", "left", ORPHANS("sh", "-c", busy_xargs)},
        {orphans, executor, "left",
         ORPHANS(PROCESS_PYTHON, PROCESS_RIVALS, "executor", "busy"),
         .missing = NO_PYTHON},
        {orphans, pool, "left",
         ORPHANS(PROCESS_PYTHON, PROCESS_RIVALS, "pool", "busy"),
         .missing = NO_PYTHON},
        {orphaned, "muster", "ms",
         ORPHANS("--time", PROCESS_MUSTER, "busy", "processes:4")},
    };
    struct bench_suite suite = {.name = "process", .our_name = "muster"};

    if (bench_options(&suite, argc, argv) != 0)
        return 2;
    return bench_run(&suite, entries, sizeof entries / sizeof entries[0],
                     stdout);
}
