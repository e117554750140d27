/* serial.c: the work without any runtime: what the others are compared with. */
#include "works.h"

const double uts_probability = 0.124995;

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
