/* onetbb.cpp: the works with oneTBB. */
#include <cstdlib>
#include <memory>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "works.h"

namespace
{
std::unique_ptr<tbb::global_control> control;

void tbb_start(int n_threads)
{
    control = std::make_unique<tbb::global_control>(
        tbb::global_control::max_allowed_parallelism, n_threads);
}

long tbb_fib(int n)
{
    long a = 0;
    long b = 0;

    if (n < 2)
        return n;
    tbb::parallel_invoke([&] { a = tbb_fib(n - 1); },
                         [&] { b = tbb_fib(n - 2); });
    return a + b;
}

long tbb_tree_sum(const struct node *node)
{
    long a = 0;
    long b = 0;

    if (!node->left)
        return node->value;
    tbb::parallel_invoke([&] { a = tbb_tree_sum(node->left); },
                         [&] { b = tbb_tree_sum(node->right); });
    return node->value + a + b;
}

long queens(const struct queen *before, int row, int column, int n)
{
    struct queen self = {before, column};
    long sums[32];
    long sum = 0;
    tbb::task_group group;

    if (row == n - 1)
        return 1;
    for (int i = 0; i < n; i++) {
        sums[i] = 0;
        if (row < 0 || queen_is_safe(&self, i))
            group.run([=, &self, &sums] {
                sums[i] = queens(row < 0 ? nullptr : &self, row + 1, i, n);
            });
    }
    group.wait();
    for (int i = 0; i < n; i++)
        sum += sums[i];
    return sum;
}

long tbb_queens(int n)
{
    return queens(nullptr, -1, 0, n);
}

void tbb_loop(long n, void (*body)(long i, void *arg), void *arg)
{
    tbb::parallel_for(0L, n, [=](long i) { body(i, arg); });
}

void tbb_scale(double *x, size_t n, double by)
{
    tbb::parallel_for(tbb::blocked_range<size_t>(0, n),
                      [=](const tbb::blocked_range<size_t> &r) {
                          for (size_t i = r.begin(); i < r.end(); i++)
                              x[i] *= by;
                      });
}

void tbb_round_trip(void (*body)(void *arg), void *arg)
{
    tbb::task_group group;

    group.run([=] { body(arg); });
    group.wait();
}

void tbb_many(long n, void (*body)(void *arg), void *arg)
{
    tbb::task_group group;

    for (long i = 0; i < n; i++)
        group.run([=] { body(arg); });
    group.wait();
}
} // namespace

int main(int argc, char **argv)
{
    struct runtime runtime = {};

    runtime.start = tbb_start;
    runtime.fib = tbb_fib;
    runtime.fib_1 = 25;
    runtime.fib_4 = 25;
    runtime.tree_sum = tbb_tree_sum;
    runtime.queens = tbb_queens;
    runtime.queens_n = 10;
    runtime.loop = tbb_loop;
    runtime.chunks = tbb_loop;
    runtime.scale = tbb_scale;
    runtime.round_trip = tbb_round_trip;
    runtime.many = tbb_many;
    return works_main(argc, argv, &runtime);
}
