/* bench_map.c: `muster map` beside what people use instead: trees of files under
 * every model, one-line inputs from a pipe, and 20,000 runs of a trivial command.
 *
 * Every entry is a line for the shell with the same inputs and the same output,
 * which the first round compares; its figure is the time of the whole, start
 * included, or inputs a second of it. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "muster/pool.h"

#include "harness.h"

enum { N_LINES = 1000000, N_COMMANDS = 20000, N_COMMANDS_SLOW = 1000 };

/* A line for the shell, and how many inputs it is given: 0 for a time. */
struct run {
    const char *line;
    double n_inputs;
    const char *check; /* outputs that go under this name have to be the same */
};

/* Run it, and see that its sorted output is that of the first that ran. */
static int run_line(void *arg, double *ret_figure)
{
    const struct run *run = arg;
    char line[4096];
    int64_t start;
    int status;

    (void)snprintf(line, sizeof line, "{ %s; } >out", run->line);
    start = bench_now_ns();
    status = system(line);
    *ret_figure = (double)(bench_now_ns() - start) / 1e9;
    if (status != 0)
        return -1;
    if (run->n_inputs > 0)
        *ret_figure = run->n_inputs / *ret_figure;
    if (!run->check)
        return 0;
    (void)snprintf(line, sizeof line,
                   "LC_ALL=C sort out | cksum >now && if [ -e %s ]; then "
                   "cmp now %s; else mv now %s; fi",
                   run->check, run->check, run->check);
    return system(line) == 0 ? 0 : -1;
}

/* NULL when the shell finds it, else what to say. */
static const char *missing(const char *test, const char *text)
{
    return system(test) == 0 ? NULL : text;
}

int main(int argc, char **argv)
{
    struct bench_suite suite = {.name = "map", .our_name = "muster"};
    const char *no_parallel = missing(
        "parallel --version 2>/dev/null | grep -q '^GNU parallel'",
        "not run: GNU parallel is not installed (tools/setup.sh bench)");
    const char *no_python =
        missing("python3 -c 'import concurrent.futures' 2>/dev/null",
                "not run: python3 is not installed (tools/setup.sh bench)");
    char n_cpus[16];

#define WORDS(model)                                                           \
    "$M --model " model                                                        \
    " --each file --reduce merge -a tree $E/wordcount.c:count"
#define SHA(model)   "$M --model " model " -a files $E/sha256.c:sum"
#define LINES(model) "seq 1000000 | $M --model " model " $B/lines.c:length"
    struct run runs[] = {
        {WORDS("serial"), 0, "words"},
        {WORDS("threads"), 0, "words"},
        {WORDS("processes"), 0, "words"},
        {WORDS("processes/threads"), 0, "words"},
        {"$T words $N tree", 0, "words"},
        /* a file each: xargs mixes outputs that are longer than one write */
        {"rm -f part.*; xargs -d '\\n' -P $N -n 100 sh -c "
         "'exec $T batch \"$@\" >part.$$' sh <tree; cat part.* | $T merge",
         0, "words"},
        {"parallel -j $N -n 100 $T batch <tree >lists; $T merge <lists", 0,
         "words"},
        {"python3 $B/by_python.py words $N tree", 0, "words"},
        {SHA("serial"), 0, "sums"},
        {SHA("threads"), 0, "sums"},
        {SHA("processes"), 0, "sums"},
        {SHA("processes/threads"), 0, "sums"},
        {"$T sha256 $N files", 0, "sums"},
        /* by lines, so that none is torn by another's */
        {"xargs -d '\\n' -P $N -n 16 stdbuf -oL sha256sum <files", 0, "sums"},
        {"parallel -j $N -n 16 sha256sum <files", 0, "sums"},
        {"python3 $B/by_python.py sha256 $N files", 0, "sums"},
        {LINES("serial"), N_LINES, "lengths"},
        {LINES("threads"), N_LINES, "lengths"},
        {LINES("processes"), N_LINES, "lengths"},
        {LINES("processes/threads"), N_LINES, "lengths"},
        {"seq 1000000 | python3 $B/by_python.py lines $N", N_LINES, "lengths"},
        {"seq 20000 | $M -j $N -- true", N_COMMANDS, "nothing"},
        {"seq 20000 | xargs -P $N -n 1 true", N_COMMANDS, "nothing"},
        {"seq 1000 | parallel -j $N true", N_COMMANDS_SLOW, "nothing"},
    };

#define WORK_WORDS "words of /usr/include and /usr/share/doc"
#define WORK_SHA   "SHA-256 of /usr/bin and /usr/lib"
#define WORK_LINES "a C function on 1,000,000 lines of a pipe"
#define WORK_TRUE  "20,000 runs of true"
    const struct {
        const char *work;
        const char *runtime;
        const char *missing;
    } names[] = {
        {WORK_WORDS, "muster serial", NULL},
        {WORK_WORDS, "muster threads", NULL},
        {WORK_WORDS, "muster processes", NULL},
        {WORK_WORDS, "muster proc/threads", NULL},
        {WORK_WORDS, "static split, threads", NULL},
        {WORK_WORDS, "xargs -P", NULL},
        {WORK_WORDS, "GNU parallel", no_parallel},
        {WORK_WORDS, "ProcessPoolExecutor", no_python},
        {WORK_SHA, "muster serial", NULL},
        {WORK_SHA, "muster threads", NULL},
        {WORK_SHA, "muster processes", NULL},
        {WORK_SHA, "muster proc/threads", NULL},
        {WORK_SHA, "static split, threads", NULL},
        {WORK_SHA, "xargs -P sha256sum", NULL},
        {WORK_SHA, "GNU parallel sha256sum", no_parallel},
        {WORK_SHA, "ProcessPoolExecutor", no_python},
        {WORK_LINES, "muster serial", NULL},
        {WORK_LINES, "muster threads", NULL},
        {WORK_LINES, "muster processes", NULL},
        {WORK_LINES, "muster proc/threads", NULL},
        {WORK_LINES, "ProcessPoolExecutor", no_python},
        {WORK_TRUE, "muster map -- true", NULL},
        {WORK_TRUE, "xargs -P", NULL},
        {WORK_TRUE, "GNU parallel (1,000)", no_parallel},
    };
    enum { N_ENTRIES = sizeof runs / sizeof runs[0] };
    struct bench_entry entries[N_ENTRIES];
    int rc = bench_options(&suite, argc, argv);

    _Static_assert(sizeof names / sizeof names[0] == N_ENTRIES,
                   "a name for each");
    if (rc != 0)
        return rc;
    (void)snprintf(n_cpus, sizeof n_cpus, "%u", mu_usable_cpus());
    if (setenv("N", n_cpus, 1) != 0 || setenv("M", MAP_COMMAND, 1) != 0 ||
        setenv("E", MAP_EXAMPLES, 1) != 0 || setenv("B", MAP_FOLDER, 1) != 0 ||
        setenv("T", MAP_BY_THREADS, 1) != 0 || chdir(MAP_WORK) != 0 ||
        system("sh $B/trees.sh") != 0)
        return 1;
    for (size_t i = 0; i < N_ENTRIES; i++)
        entries[i] = (struct bench_entry){
            .work = names[i].work,
            .runtime = names[i].runtime,
            .unit = runs[i].n_inputs > 0 ? "inputs a second" : "s",
            .more_is_better = runs[i].n_inputs > 0,
            .fn = run_line,
            .arg = &runs[i],
            .missing = names[i].missing};
    return bench_run(&suite, entries, N_ENTRIES, stdout);
}
