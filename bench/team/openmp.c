/* openmp.c: the works with OpenMP; built by gcc for libgomp, by clang for libomp. */
#include <omp.h>
#include <stdlib.h>

#include "works.h"

static void openmp_start(int n_threads)
{
    omp_set_num_threads(n_threads);
}

static long fib(int n)
{
    long a;
    long b;

    if (n < 2)
        return n;
#pragma omp task shared(a)
    a = fib(n - 1);
    b = fib(n - 2);
#pragma omp taskwait
    return a + b;
}

static long openmp_fib(int n)
{
    long result = 0;

#pragma omp parallel
#pragma omp single
    result = fib(n);
    return result;
}

static long tree_sum(const struct node *node)
{
    long a;
    long b;

    if (!node->left)
        return node->value;
#pragma omp task shared(a)
    a = tree_sum(node->right);
    b = node->value + tree_sum(node->left);
#pragma omp taskwait
    return a + b;
}

static long openmp_tree_sum(const struct node *root)
{
    long result = 0;

#pragma omp parallel
#pragma omp single
    result = tree_sum(root);
    return result;
}

static long queens(const struct queen *before, int row, int column, int n)
{
    struct queen self = {before, column};
    long sums[32];
    long sum = 0;

    if (row == n - 1)
        return 1;
    for (int i = 0; i < n; i++) {
        sums[i] = 0;
        if (row >= 0 && !queen_is_safe(&self, i))
            continue;
#pragma omp task shared(self, sums) firstprivate(i)
        sums[i] = queens(row < 0 ? NULL : &self, row + 1, i, n);
    }
#pragma omp taskwait
    for (int i = 0; i < n; i++)
        sum += sums[i];
    return sum;
}

static long openmp_queens(int n)
{
    long result = 0;

#pragma omp parallel
#pragma omp single
    result = queens(NULL, -1, 0, n);
    return result;
}

static long uts(uint64_t node, int depth)
{
    int n = uts_n_children(node, depth);
    long *sums;
    long sum = 1;

    if (n == 0)
        return 1;
    sums = malloc((size_t)n * sizeof *sums);
    for (int i = 0; i < n; i++) {
#pragma omp task firstprivate(i, sums)
        sums[i] = uts(uts_child(node, i), depth + 1);
    }
#pragma omp taskwait
    for (int i = 0; i < n; i++)
        sum += sums[i];
    free(sums);
    return sum;
}

static long openmp_uts(void)
{
    long result = 0;

#pragma omp parallel
#pragma omp single
    result = uts(UTS_SEED, 0);
    return result;
}

static void openmp_loop(long n, void (*body)(long i, void *arg), void *arg)
{
#pragma omp parallel for schedule(dynamic, 16)
    for (long i = 0; i < n; i++)
        body(i, arg);
}

static void openmp_chunks(long n, void (*body)(long i, void *arg), void *arg)
{
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++)
        body(i, arg);
}

static void openmp_scale(double *x, size_t n, double by)
{
#pragma omp parallel for schedule(static, 3125000)
    for (size_t i = 0; i < n; i++)
        x[i] *= by;
}

int main(int argc, char **argv)
{
    static const struct runtime runtime = {.start = openmp_start,
                                           .fib = openmp_fib,
                                           .fib_1 = 27,
                                           .fib_4 = 24,
                                           .tree_sum = openmp_tree_sum,
                                           .queens = openmp_queens,
                                           .queens_n = 9,
                                           .uts = openmp_uts,
                                           .loop = openmp_loop,
                                           .chunks = openmp_chunks,
                                           .scale = openmp_scale};

    return works_main(argc, argv, &runtime);
}
