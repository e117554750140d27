/* muster.c: the works with muster. */
#include <stdlib.h>

#include "muster/team.h"

#include "works.h"

static struct mu_team *team;

static void team_start(int n_threads)
{
    struct mu_team_options options = {.n_threads = (unsigned)n_threads};

    if (mu_team_open(&options, &team, NULL) < 0)
        exit(1);
}

static inline long fib(struct mu_job *j, int n);
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

static long team_fib(int n)
{
    struct mu_job *j = mu_team_enter(team);
    long result = fib(j, n);

    (void)mu_team_leave(j);
    return result;
}

static inline long tree_sum(struct mu_job *j, const struct node *node);
MU_FORKABLE(long, tree_sum, const struct node *)
static inline long tree_sum(struct mu_job *j, const struct node *node)
{
    long a;

    if (!node->left)
        return node->value;
    mu_fork(j, tree_sum, node->right);
    a = node->value + tree_sum(j, node->left);
    return a + mu_join(j, tree_sum);
}

static long team_tree_sum(const struct node *root)
{
    struct mu_job *j = mu_team_enter(team);
    long result = tree_sum(j, root);

    (void)mu_team_leave(j);
    return result;
}

/* All queens of a row from a column on. The rest of the row is forked, and taken back
 * unless somebody wanted it: the row stays one loop, as in serial. */
static inline long queens(struct mu_job *j, const struct queen *before, int row,
                          int column, int n);
MU_FORKABLE(long, queens, const struct queen *, int, int, int)
static inline long queens(struct mu_job *j, const struct queen *before, int row,
                          int column, int n)
{
    long sum = 0;
    long rest;

    if (row == n)
        return 1;
    for (; column < n; column++)
        if (queen_is_safe(before, column)) {
            struct queen self = {before, column};

            mu_fork(j, queens, before, row, column + 1, n);
            sum += queens(j, &self, row + 1, 0, n);
            if (!mu_unfork(j, queens, &rest))
                return sum + rest;
        }
    return sum;
}

static long team_queens(int n)
{
    struct mu_job *j = mu_team_enter(team);
    long sum = queens(j, NULL, 0, 0, n);

    (void)mu_team_leave(j);
    return sum;
}

static inline long uts(struct mu_job *j, uint64_t node, int depth);
MU_FORKABLE(long, uts, uint64_t, int)
static inline long uts(struct mu_job *j, uint64_t node, int depth)
{
    int n = uts_n_children(node, depth);
    long sum = 1;

    for (int i = 0; i < n; i++)
        mu_fork(j, uts, uts_child(node, i), depth + 1);
    for (int i = 0; i < n; i++)
        sum += mu_join(j, uts);
    return sum;
}

static long team_uts(void)
{
    struct mu_job *j = mu_team_enter(team);
    long result = uts(j, UTS_SEED, 0);

    (void)mu_team_leave(j);
    return result;
}

typedef void (*index_fn)(long i, void *arg);

static void each(struct mu_job *j, size_t begin, size_t end, index_fn body,
                 void *arg);
MU_LOOP(each, index_fn, void *)
static void each(struct mu_job *j, size_t begin, size_t end, index_fn body,
                 void *arg)
{
    (void)j;
    for (size_t i = begin; i < end; i++)
        body((long)i, arg);
}

static void team_loop(long n, void (*body)(long i, void *arg), void *arg)
{
    struct mu_job *j = mu_team_enter(team);

    mu_for(j, 0, (size_t)n, each, body, arg);
    (void)mu_team_leave(j);
}

static void scale(struct mu_job *j, size_t begin, size_t end, double *x,
                  double by);
MU_LOOP(scale, double *, double)
static void scale(struct mu_job *j, size_t begin, size_t end, double *x,
                  double by)
{
    (void)j;
    for (size_t i = begin; i < end; i++)
        x[i] *= by;
}

static void team_scale(double *x, size_t n, double by)
{
    struct mu_job *j = mu_team_enter(team);

    mu_for(j, 0, n, scale, x, by);
    (void)mu_team_leave(j);
}

typedef void (*task_fn)(void *arg);

static void call(struct mu_job *j, task_fn body, void *arg);
MU_FORKABLE_VOID(call, task_fn, void *)
static void call(struct mu_job *j, task_fn body, void *arg)
{
    (void)j;
    body(arg);
}

static void team_round_trip(void (*body)(void *arg), void *arg)
{
    static struct mu_ticket ticket;

    if (mu_team_submit(team, &ticket, call, body, arg) != 0 ||
        mu_team_wait(&ticket, call, NULL) != 0)
        exit(1);
}

/* Tickets are used again, in a window. */
static void team_many(long n, void (*body)(void *arg), void *arg)
{
    enum { WINDOW = 512 };
    static struct mu_ticket tickets[WINDOW];
    int rc = 0;

    for (long i = 0; i < n; i++) {
        struct mu_ticket *ticket = &tickets[i % WINDOW];

        if (i >= WINDOW)
            rc |= mu_team_wait(ticket, call, NULL);
        rc |= mu_team_submit(team, ticket, call, body, arg);
    }
    for (long i = n < WINDOW ? 0 : n - WINDOW; i < n; i++)
        rc |= mu_team_wait(&tickets[i % WINDOW], call, NULL);
    if (rc != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    static const struct runtime runtime = {.start = team_start,
                                           .fib = team_fib,
                                           .fib_1 = 35,
                                           .fib_4 = 35,
                                           .tree_sum = team_tree_sum,
                                           .queens = team_queens,
                                           .queens_n = 13,
                                           .uts = team_uts,
                                           .loop = team_loop,
                                           .chunks = team_loop,
                                           .scale = team_scale,
                                           .round_trip = team_round_trip,
                                           .many = team_many};

    return works_main(argc, argv, &runtime);
}
