/* test_cxx_bare.cpp: functions of no arguments but what every one has, from C++. */
#include <atomic>
#include <cstdio>

#include "muster/muster.h"

namespace
{
std::atomic<long> n_calls;

long one(mu_job *j);
MU_FORKABLE(long, one)
long one(mu_job *)
{
    return 1;
}

void count(mu_job *j);
MU_FORKABLE_VOID(count)
void count(mu_job *)
{
    n_calls++;
}

void count_all(mu_job *j, std::size_t begin, std::size_t end);
MU_LOOP(count_all)
void count_all(mu_job *, std::size_t begin, std::size_t end)
{
    n_calls += static_cast<long>(end - begin);
}

long add(long a, long b)
{
    return a + b;
}
long length(mu_job *j, std::size_t begin, std::size_t end);
MU_REDUCIBLE(long, length, add)
long length(mu_job *, std::size_t begin, std::size_t end)
{
    return static_cast<long>(end - begin);
}
} // namespace

int main()
{
    mu_ticket ticket = {};
    mu_job *j = mu_team_enter(nullptr);
    long sum = 0;

    if (!j)
        return 1;
    mu_fork(j, one);
    mu_fork(j, count);
    mu_join_void(j, count);
    sum += mu_join(j, one);
    mu_for(j, 0, 1000, count_all);
    mu_for_grain(j, 0, 1000, 7, count_all);
    sum += mu_for_reduce(j, 0, 1000, length);
    sum += mu_for_reduce_grain(j, 0, 1000, 7, length);
    if (mu_team_leave(j) != 0 || mu_team_submit(nullptr, &ticket, count) != 0 ||
        mu_team_wait(&ticket, count, nullptr) != 0 ||
        mu_team_submit_many(nullptr, &ticket, 10, count_all) != 0 ||
        mu_team_wait_many(&ticket) != 0)
        return 1;
    std::printf("%ld %ld\n", sum, n_calls.load());
    return sum == 2001 && n_calls == 2012 ? 0 : 1;
}
