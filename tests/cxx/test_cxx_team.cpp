/* test_cxx_team.cpp: forks, loops, reductions and tickets from C++. */
#include <vector>

#include "muster/muster.h"

#include "check.hpp"

namespace
{
long fib(mu_job *j, int n);
MU_FORKABLE(long, fib, int)
long fib(mu_job *j, int n)
{
    if (n < 2)
        return n;
    mu_fork(j, fib, n - 1);
    long b = fib(j, n - 2);
    return mu_join(j, fib) + b;
}

struct point {
    double x, y;
};

point walk(mu_job *j, const point *from, int steps);
MU_FORKABLE(point, walk, const point *, int)
point walk(mu_job *j, const point *from, int steps)
{
    if (steps == 0)
        return *from;
    mu_fork(j, walk, from, steps - 1);
    point b = walk(j, from, steps - 1);
    point a = mu_join(j, walk);
    return point{a.x + b.x, a.y + b.y};
}

long count(mu_job *j, int n);
MU_FORKABLE(long, count, int)
long count(mu_job *j, int n)
{
    long sum = 0;
    long rest;

    for (; n > 0; n--) {
        mu_fork(j, count, n - 1);
        sum++;
        if (!mu_unfork(j, count, &rest))
            return sum + rest;
    }
    return sum;
}

void scale(mu_job *j, std::size_t begin, std::size_t end,
           std::vector<double> *v, double by);
MU_LOOP(scale, std::vector<double> *, double)
void scale(mu_job *, std::size_t begin, std::size_t end, std::vector<double> *v,
           double by)
{
    for (std::size_t i = begin; i < end; i++)
        (*v)[i] *= by;
}

double add(double a, double b)
{
    return a + b;
}
double sum(mu_job *j, std::size_t begin, std::size_t end,
           const std::vector<double> *v);
MU_REDUCIBLE(double, sum, add, const std::vector<double> *)
double sum(mu_job *, std::size_t begin, std::size_t end,
           const std::vector<double> *v)
{
    double s = 0;

    for (std::size_t i = begin; i < end; i++)
        s += (*v)[i];
    return s;
}
} // namespace

int main()
{
    std::vector<double> v(100000, 1.0);
    point origin = {1, 2};
    mu_ticket ticket = {};
    long result = 0;
    mu_job *j = mu_team_enter(nullptr);

    if (!j)
        return 1;
    check(fib(j, 20) == 6765, "fib");
    check(walk(j, &origin, 10).y == 2048, "walk");
    check(count(j, 1000) == 1000, "unfork");
    mu_for(j, 0, v.size(), scale, &v, 2.0);
    check(mu_for_reduce(j, 0, v.size(), sum, &v) == 200000.0, "reduce");
    check(mu_team_leave(j) == 0, "leave");
    check(mu_team_submit(nullptr, &ticket, fib, 15) == 0, "submit");
    check(mu_team_wait(&ticket, fib, &result) == 0 && result == 610, "wait");
    return n_failed != 0;
}
