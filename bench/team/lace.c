/* lace.c: the works with Lace, when a checkout is given (MUSTER_LACE_DIR). */
#include <lace.h>

#include "works.h"

static void lace_begin(int n_threads)
{
    lace_start((unsigned)n_threads, 1000000);
}

TASK_1(long, fib, int, n)
{
    if (n < 2)
        return n;
    SPAWN(fib, n - 1);
    long b = CALL(fib, n - 2);
    long a = SYNC(fib);

    return a + b;
}

static long lace_fib(int n)
{
    return RUN(fib, n);
}

TASK_1(long, tree_sum, const struct node *, node)
{
    if (!node->left)
        return node->value;
    SPAWN(tree_sum, node->right);
    long a = node->value + CALL(tree_sum, node->left);

    return a + SYNC(tree_sum);
}

static long lace_tree_sum(const struct node *root)
{
    return RUN(tree_sum, root);
}

TASK_4(long, queens, const struct queen *, before, int, row, int, column, int,
       n)
{
    struct queen self = {before, column};
    long sum = 0;
    int n_tasks = 0;

    if (row == n - 1)
        return 1;
    for (int i = 0; i < n; i++)
        if (queen_is_safe(&self, i)) {
            SPAWN(queens, &self, row + 1, i, n);
            n_tasks++;
        }
    while (n_tasks-- > 0)
        sum += SYNC(queens);
    return sum;
}

TASK_1(long, all_queens, int, n)
{
    long sum = 0;

    for (int i = 0; i < n; i++)
        SPAWN(queens, NULL, 0, i, n);
    for (int i = 0; i < n; i++)
        sum += SYNC(queens);
    return sum;
}

static long lace_queens(int n)
{
    return RUN(all_queens, n);
}

TASK_2(long, uts, uint64_t, node, int, depth)
{
    int n = uts_n_children(node, depth);
    long sum = 1;

    for (int i = 0; i < n; i++)
        SPAWN(uts, uts_child(node, i), depth + 1);
    for (int i = 0; i < n; i++)
        sum += SYNC(uts);
    return sum;
}

static long lace_uts(void)
{
    return RUN(uts, UTS_SEED, 0);
}

typedef void (*index_fn)(long i, void *arg);

VOID_TASK_4(each, long, begin, long, end, index_fn, body, void *, arg)
{
    if (end - begin <= 1) {
        for (long i = begin; i < end; i++)
            body(i, arg);
        return;
    }
    SPAWN(each, begin, begin + (end - begin) / 2, body, arg);
    CALL(each, begin + (end - begin) / 2, end, body, arg);
    SYNC(each);
}

static void lace_loop(long n, void (*body)(long i, void *arg), void *arg)
{
    RUN(each, 0, n, body, arg);
}

typedef void (*task_fn)(void *arg);

VOID_TASK_2(one, task_fn, body, void *, arg)
{
    body(arg);
}

static void lace_round_trip(void (*body)(void *arg), void *arg)
{
    RUN(one, body, arg);
}

int main(int argc, char **argv)
{
    static const struct runtime runtime = {.start = lace_begin,
                                           .fib = lace_fib,
                                           .fib_1 = 35,
                                           .fib_4 = 35,
                                           .tree_sum = lace_tree_sum,
                                           .queens = lace_queens,
                                           .queens_n = 13,
                                           .uts = lace_uts,
                                           .loop = lace_loop,
                                           .chunks = lace_loop,
                                           .round_trip = lace_round_trip};

    return works_main(argc, argv, &runtime);
}
