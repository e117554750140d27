/* works.h: the work of the suite, the same for every runtime, and how a program of
 * one runtime measures it. Each runtime is a file that implements struct runtime. */
#ifndef BENCH_TEAM_WORKS_H
#define BENCH_TEAM_WORKS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A complete tree: a node has two children or none. */
struct node {
    struct node *left;
    struct node *right;
    long value;
};

/* What a runtime can do. NULL: it cannot, or nobody would do it so. */
struct runtime {
    /* n threads from now on, the caller included. */
    void (*start)(int n_threads);
    long (*fib)(int n);
    int fib_1; /* n for one thread and for four: slower runtimes take less */
    int fib_4;
    long (*tree_sum)(const struct node *root);
    long (*queens)(int n);
    int queens_n; /* the board: slower runtimes take a smaller one */
    long (*uts)(void);
    /* body(i, arg) for all i below n, on all threads */
    void (*loop)(long n, void (*body)(long i, void *arg), void *arg);
    /* the same with each thread given one i at once: n is the number of threads */
    void (*chunks)(long n, void (*body)(long i, void *arg), void *arg);
    void (*scale)(double *x, size_t n, double by);
    /* submit body(arg) from a thread outside, wait for it */
    void (*round_trip)(void (*body)(void *arg), void *arg);
    /* submit body(arg) n times from one thread outside, wait for all */
    void (*many)(long n, void (*body)(void *arg), void *arg);
};

/* Run the work named on the command line; what main() returns. */
int works_main(int argc, char **argv, const struct runtime *runtime);

/* What the work argv[1] costs in serial, by gcc -O3 or with one call a node; NAN where
 * that says nothing. */
double works_serial(char **argv, int has_calls);

/* The queens that an n-queens places. */
double count_queens(int n);

/* The body of the uneven loop: compiled once, so that runtimes built by another
 * compiler run the same code. */
void uneven(long i, void *arg);

/* Serial versions, gcc -O3, and with one call a node. */
long serial_fib(int n);
long calls_fib(int n);
long serial_tree_sum(const struct node *root);
long calls_tree_sum(const struct node *root);
long serial_queens(int n);
long serial_uts(void);

/* n-queens as the task benchmarks have it: a task is one queen on one column; it
 * has a task for each column of the next row that no queen before it attacks. */
struct queen {
    const struct queen *before;
    int column;
};

static inline int queen_is_safe(const struct queen *before, int column)
{
    for (int rows = 1; before; before = before->before, rows++) {
        int apart = before->column - column;

        if (apart == 0 || apart == rows || apart == -rows)
            return 0;
    }
    return 1;
}

/* An unbalanced tree, as the benchmark UTS has them: the children of a node follow
 * from a hash of its path. A node has UTS_CHILDREN children with a probability of
 * nearly 1 / UTS_CHILDREN, the root has UTS_ROOT: 8,128,084 nodes, 6,676 deep; the
 * programs see that it is so. */
enum { UTS_ROOT = 2771, UTS_CHILDREN = 2, UTS_SEED = 182, UTS_NODES = 8128084 };

extern const double uts_probability;

static inline uint64_t uts_child(uint64_t node, int i)
{
    uint64_t z = node + UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);

    for (int k = 0; k < 16; k++) { /* weighs about half the original's SHA-1 */
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
    }
    return z;
}

static inline int uts_n_children(uint64_t node, int depth)
{
    if (depth == 0)
        return UTS_ROOT;
    return (double)(node >> 11) * 0x1p-53 < uts_probability ? UTS_CHILDREN : 0;
}

#ifdef __cplusplus
}
#endif

#endif
