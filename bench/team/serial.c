/* serial.c: the work without any runtime: what the others are compared with. */
#include <stddef.h>

#include "works.h"

const double uts_probability = 0.49999;

long serial_fib(int n)
{
    return n < 2 ? n : serial_fib(n - 1) + serial_fib(n - 2);
}

/* One call a node: what a function costs when it is called and not inlined. */
__attribute__((noipa, optimize("no-optimize-sibling-calls"))) long calls_fib(
    int n)
{
    long a;

    if (n < 2)
        return n;
    a = calls_fib(n - 1);
    a += calls_fib(n - 2);
    __asm__ volatile("" : "+r"(a));
    return a;
}

long serial_tree_sum(const struct node *root)
{
    if (!root->left)
        return root->value;
    return root->value + serial_tree_sum(root->left) +
           serial_tree_sum(root->right);
}

__attribute__((noipa, optimize("no-optimize-sibling-calls"))) long
calls_tree_sum(const struct node *root)
{
    long a = root->value;

    if (root->left) {
        a += calls_tree_sum(root->left);
        a += calls_tree_sum(root->right);
    }
    __asm__ volatile("" : "+r"(a));
    return a;
}

static long queens(const struct queen *before, int row, int column, int n)
{
    struct queen self = {before, column};
    long sum = 0;

    if (row == n - 1)
        return 1;
    for (int i = 0; i < n; i++)
        if (queen_is_safe(&self, i))
            sum += queens(&self, row + 1, i, n);
    return sum;
}

long serial_queens(int n)
{
    long sum = 0;

    for (int i = 0; i < n; i++)
        sum += queens(NULL, 0, i, n);
    return sum;
}

static long uts(uint64_t node, int depth)
{
    int n = uts_n_children(node, depth);
    long sum = 1;

    for (int i = 0; i < n; i++)
        sum += uts(uts_child(node, i), depth + 1);
    return sum;
}

long serial_uts(void)
{
    return uts(UTS_SEED, 0);
}

static long count(const struct queen *before, int row, int column, int n)
{
    struct queen self = {before, column};
    long sum = 1;

    for (int i = 0; i < n && row < n - 1; i++)
        if (queen_is_safe(&self, i))
            sum += count(&self, row + 1, i, n);
    return sum;
}

double count_queens(int n)
{
    long sum = 0;

    for (int i = 0; i < n; i++)
        sum += count(NULL, 0, i, n);
    return (double)sum;
}

/* 100,000 iterations; in the last eighth every eighth is 200 times heavier. */
enum { UNEVEN_N = 100000, UNEVEN_UNIT = 60, UNEVEN_HEAVY = 200 };

void uneven(long i, void *arg)
{
    long n = UNEVEN_UNIT;
    uint64_t x = (uint64_t)i;

    (void)arg;
    if (i >= UNEVEN_N - UNEVEN_N / 8 && i % 8 == 0)
        n *= UNEVEN_HEAVY;
    for (long k = 0; k < n; k++)
        x = x * UINT64_C(6364136223846793005) + 1;
    __asm__ volatile("" ::"r"(x));
}
