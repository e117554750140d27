/* bench_team.c: the suite `team`: muster and its rivals, work by work. */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

struct work {
    const char *name; /* as works.c knows it */
    const char *title;
    const char *unit;
    int more_is_better;
    int floors; /* which serial programs say something, and whether they alone */
};

enum { NO_FLOOR, FLOOR_O3, FLOORS, FLOOR_ONLY };

static const struct work works[] = {
    {"copies", "4 serial copies of fib(35) at once: what the machine gives",
     "times one", 1, FLOOR_ONLY},
    {"fib-1", "fib, no cut-off, 1 thread: a fork and join over serial", "ns", 0,
     NO_FLOOR},
    {"fib-4", "fib(35), no cut-off, 4 threads", "ns a fork", 0, FLOORS},
    {"tree-22", "sum of a tree of 4,194,303 nodes, 4 threads", "us", 0, FLOORS},
    {"queens", "n-queens, 4 threads", "ns a queen", 0, FLOOR_O3},
    {"uts", "unbalanced tree, 8.1 M nodes, 6,676 deep, 4 threads", "ms", 0,
     FLOOR_O3},
    {"tree-16", "sum of a tree of 65,535 nodes, 4 threads", "us", 0, FLOORS},
    {"tree-10", "sum of a tree of 1,023 nodes, 4 threads", "us", 0, FLOORS},
    {"empty", "empty loop, 4 threads, back to back", "us", 0, NO_FLOOR},
    {"empty-idle", "empty loop, 4 threads, after 1 ms idle", "us", 0, NO_FLOOR},
    {"idle-cpu", "CPU used in half a second after the last work",
     "% of one CPU", 0, NO_FLOOR},
    {"chunks", "4 chunks of 10 us, back to back", "us", 0, NO_FLOOR},
    {"uneven", "uneven loop, 100,000 iterations", "ms", 0, FLOOR_O3},
    {"scale", "1e8 doubles in place", "ms", 0, NO_FLOOR},
    {"round-trip", "round trip of one task from outside", "us", 0, NO_FLOOR},
    {"many", "1 M tiny tasks from one thread outside", "us a task", 0,
     NO_FLOOR},
    {"8on2-queens", "crowded: n-queens, 8 threads on 2 CPUs", "ns a queen", 0,
     FLOOR_O3},
    {"8on2-tree-16", "crowded: tree of 65,535 nodes, 8 threads on 2 CPUs", "us",
     0, FLOOR_O3},
    {"8on2-uneven", "crowded: uneven loop, 8 threads on 2 CPUs", "ms", 0,
     FLOOR_O3},
    {"8on2-chunks", "crowded: 4 chunks of 10 us, 8 threads on 2 CPUs", "us", 0,
     NO_FLOOR},
    {"8on2-empty", "crowded: empty loop, 8 threads on 2 CPUs", "us", 0,
     NO_FLOOR},
    {"taken-queens", "one CPU taken: n-queens, 4 threads", "ns a queen", 0,
     FLOOR_O3},
    {"taken-tree-16", "one CPU taken: tree of 65,535 nodes, 4 threads", "us", 0,
     FLOOR_O3},
    {"taken-uneven", "one CPU taken: uneven loop, 4 threads", "ms", 0,
     FLOOR_O3},
    {"taken-chunks", "one CPU taken: 4 chunks of 10 us", "us", 0, NO_FLOOR},
    {"taken-empty", "one CPU taken: empty loop, 4 threads", "us", 0, NO_FLOOR},
};

/* Programs of this suite; an empty path: not built, and why. */
static const struct {
    const char *runtime;
    const char *path;
    const char *missing;
} programs[] = {
    {"muster", TEAM_MUSTER, ""},
    {"libgomp", TEAM_LIBGOMP, "no libgomp: install gcc's"},
    {"libomp", TEAM_LIBOMP, "no clang with libomp: install libomp-dev"},
    {"oneTBB", TEAM_ONETBB, "no oneTBB: install libtbb-dev"},
    {"Lace", TEAM_LACE, "no Lace: give -DMUSTER_LACE_DIR=checkout"},
    {"serial, gcc -O3", TEAM_SERIAL, ""},
    {"serial, one call a node", TEAM_SERIAL, ""},
};

enum {
    N_WORKS = sizeof works / sizeof works[0],
    N_PROGRAMS = sizeof programs / sizeof programs[0]
};

int main(int argc, char **argv)
{
    static struct bench_entry entries[N_WORKS * N_PROGRAMS];
    static const char *command_lines[N_WORKS * N_PROGRAMS][4];
    struct bench_suite suite = {.name = "team", .our_name = "muster"};
    size_t n = 0;

    if (bench_options(&suite, argc, argv) != 0)
        return 2;
    for (size_t w = 0; w < N_WORKS; w++)
        for (size_t p = 0; p < N_PROGRAMS; p++) {
            int is_floor = p >= N_PROGRAMS - 2;
            int n_floors = works[w].floors == FLOORS ? 2 : works[w].floors != 0;

            if (is_floor ? (int)(p - (N_PROGRAMS - 2)) >= n_floors
                         : works[w].floors == FLOOR_ONLY)
                continue;
            command_lines[n][0] = programs[p].path;
            command_lines[n][1] = works[w].name;
            if (p == N_PROGRAMS - 1)
                command_lines[n][2] = "calls";
            entries[n] = (struct bench_entry){
                .work = works[w].title,
                .runtime = programs[p].runtime,
                .unit = works[w].unit,
                .more_is_better = works[w].more_is_better,
                .is_no_rival = is_floor,
                .missing = programs[p].path[0] ? NULL : programs[p].missing,
                .argv = command_lines[n]};
            n++;
        }
    return bench_run(&suite, entries, n, stdout);
}
