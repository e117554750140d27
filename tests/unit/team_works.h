/* team_works.h: pieces of work that several tests of the team share. */
#ifndef TESTS_TEAM_WORKS_H
#define TESTS_TEAM_WORKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "muster/team.h"

/* Sanitizers slow the works down; they run smaller ones. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#    define TEAM_IS_SLOW 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#        define TEAM_IS_SLOW 1
#    endif
#endif
#ifndef TEAM_IS_SLOW
#    define TEAM_IS_SLOW 0
#endif

/* The seed of a test: TEST_SEED, or 1. A failure prints it. */
static inline uint64_t team_seed(void)
{
    const char *text = getenv("TEST_SEED");

    return text ? strtoull(text, NULL, 10) : 1;
}

/* The next number of a sequence (splitmix64, S. Vigna, public domain). */
static inline uint64_t team_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static long fib(struct mu_job *j, int n);
MU_FORKABLE(long, fib, int)
static inline long fib(struct mu_job *j, int n)
{
    long a;
    long b;

    if (n < 2)
        return n;
    mu_fork(j, fib, n - 1);
    b = fib(j, n - 2);
    a = mu_join(j, fib);
    return a + b;
}

static inline long fib_serial(int n)
{
    return n < 2 ? n : fib_serial(n - 1) + fib_serial(n - 2);
}

static inline struct mu_team *team_of(unsigned n_threads)
{
    struct mu_team_options options = {.n_threads = n_threads};
    struct mu_team *team = NULL;

    assert_int_equal(mu_team_open(&options, &team, NULL), 0);
    return team;
}

static inline struct mu_job *team_enter(struct mu_team *team)
{
    struct mu_job *j = mu_team_enter(team);

    assert_non_null(j);
    return j;
}

#endif
