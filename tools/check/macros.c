/* macros.c: every macro of team.h, with none and with eight arguments. check-headers.sh
 * compiles it as C and as C++, by each standard. */
#include "muster/muster.h"

static long add(long a, long b)
{
    return a + b;
}

static long get0(struct mu_job *j);
MU_FORKABLE(long, get0)
static long get0(struct mu_job *j)
{
    (void)j;
    return 1;
}

static void put0(struct mu_job *j);
MU_FORKABLE_VOID(put0)
static void put0(struct mu_job *j)
{
    (void)j;
}

static void all0(struct mu_job *j, size_t begin, size_t end);
MU_LOOP(all0)
static void all0(struct mu_job *j, size_t begin, size_t end)
{
    (void)j;
    (void)begin;
    (void)end;
}

static long sum0(struct mu_job *j, size_t begin, size_t end);
MU_REDUCIBLE(long, sum0, add)
static long sum0(struct mu_job *j, size_t begin, size_t end)
{
    (void)j;
    (void)begin;
    (void)end;
    return 1;
}

static long get8(struct mu_job *j, char a, char b, char c, char d, char e,
                 char f, char g, char h);
MU_FORKABLE(long, get8, char, char, char, char, char, char, char, char)
static long get8(struct mu_job *j, char a, char b, char c, char d, char e,
                 char f, char g, char h)
{
    (void)j;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    (void)f;
    (void)g;
    (void)h;
    return 1;
}

static void put8(struct mu_job *j, char a, char b, char c, char d, char e,
                 char f, char g, char h);
MU_FORKABLE_VOID(put8, char, char, char, char, char, char, char, char)
static void put8(struct mu_job *j, char a, char b, char c, char d, char e,
                 char f, char g, char h)
{
    (void)j;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    (void)f;
    (void)g;
    (void)h;
}

static void all8(struct mu_job *j, size_t begin, size_t end, char a, char b,
                 char c, char d, char e, char f, char g, char h);
MU_LOOP(all8, char, char, char, char, char, char, char, char)
static void all8(struct mu_job *j, size_t begin, size_t end, char a, char b,
                 char c, char d, char e, char f, char g, char h)
{
    (void)j;
    (void)begin;
    (void)end;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    (void)f;
    (void)g;
    (void)h;
}

static long sum8(struct mu_job *j, size_t begin, size_t end, char a, char b,
                 char c, char d, char e, char f, char g, char h);
MU_REDUCIBLE(long, sum8, add, char, char, char, char, char, char, char, char)
static long sum8(struct mu_job *j, size_t begin, size_t end, char a, char b,
                 char c, char d, char e, char f, char g, char h)
{
    (void)j;
    (void)begin;
    (void)end;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    (void)f;
    (void)g;
    (void)h;
    return 1;
}

int main(void)
{
    static struct mu_ticket ticket;
    struct mu_job *j = mu_team_enter(NULL);
    long got = 0;
    int status = 0;

    mu_fork(j, get0);
    mu_fork(j, get0);
    mu_fork(j, get0);
    mu_fork(j, put0);
    mu_join_void(j, put0);
    status |= mu_join_status(j, get0, &got);
    if (mu_unfork(j, get0, &got))
        got++;
    got += mu_join(j, get0);
    mu_for(j, 0, 9, all0);
    mu_for_grain(j, 0, 9, 2, all0);
    got += mu_for_reduce(j, 0, 9, sum0);
    got += mu_for_reduce_grain(j, 0, 9, 2, sum0);
    status |= mu_team_submit(NULL, &ticket, get0);
    status |= mu_team_wait(&ticket, get0, &got);
    status |= mu_team_submit_many(NULL, &ticket, 9, all0);
    status |= mu_team_wait_many(&ticket);
    mu_fork(j, get8, 1, 2, 3, 4, 5, 6, 7, 8);
    mu_fork(j, get8, 1, 2, 3, 4, 5, 6, 7, 8);
    mu_fork(j, get8, 1, 2, 3, 4, 5, 6, 7, 8);
    mu_fork(j, put8, 1, 2, 3, 4, 5, 6, 7, 8);
    mu_join_void(j, put8);
    status |= mu_join_status(j, get8, &got);
    if (mu_unfork(j, get8, &got))
        got++;
    got += mu_join(j, get8);
    mu_for(j, 0, 9, all8, 1, 2, 3, 4, 5, 6, 7, 8);
    mu_for_grain(j, 0, 9, 2, all8, 1, 2, 3, 4, 5, 6, 7, 8);
    got += mu_for_reduce(j, 0, 9, sum8, 1, 2, 3, 4, 5, 6, 7, 8);
    got += mu_for_reduce_grain(j, 0, 9, 2, sum8, 1, 2, 3, 4, 5, 6, 7, 8);
    status |= mu_team_submit(NULL, &ticket, get8, 1, 2, 3, 4, 5, 6, 7, 8);
    status |= mu_team_wait(&ticket, get8, &got);
    status |=
        mu_team_submit_many(NULL, &ticket, 9, all8, 1, 2, 3, 4, 5, 6, 7, 8);
    status |= mu_team_wait_many(&ticket);
    return mu_team_leave(j) | status | (got == 0);
}
