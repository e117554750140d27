/* test_team_help.c: what a waiting join may run. One thread plays all parts, each on a
 * seat of its own; the looks and the steals are the library's. */
#include "team/team.h"
#include "team_works.h"

/* The parts. The joiner waits for `awaited`, which the thief runs. */
struct play {
    struct mui_seat *joiner;
    struct mui_seat *thief;
    struct mui_seat *other; /* has taken an older job of the thief's */
    struct mu_job *awaited;
    struct mu_job *older;
    int n_strangers; /* that have run */
    int n_ours;
};

static uint32_t n_exposed(struct mui_seat *seat)
{
    struct mui_range r =
        mui_range_of(atomic_load_explicit(&seat->range, memory_order_relaxed));

    return r.split - r.tail;
}

static void tick(struct mu_job *j, int *n);
MU_FORKABLE_VOID(tick, int *)
static void tick(struct mu_job *j, int *n)
{
    (void)j;
    *n += 1;
}

/* Fork what counts in `n`, and expose it, as when somebody had asked: the next fork
 * does that. */
static struct mu_job *fork_exposed(struct mu_job *j, int *n)
{
    struct mui_seat *seat = mui_seat_of(j);
    uint32_t before = n_exposed(seat);
    int none = 0;

    mu_fork(j, tick, n);
    mui_seat_ask(seat);
    mu_fork(j, tick, &none);
    assert_int_equal(n_exposed(seat), before + 1);
    mu_join_void(j, tick);
    return j;
}

/* What the joiner waits for, on the thief's seat. */
static void awaited(struct mu_job *j, struct play *play);
MU_FORKABLE_VOID(awaited, struct play *)
static void awaited(struct mu_job *j, struct play *play)
{
    /* both seats have exposed what was not forked below this */
    assert_ptr_equal(mui_seat_of(j), play->thief);
    assert_int_equal(n_exposed(play->other), 1);
    assert_int_equal(n_exposed(play->thief), 1);
    assert_false(mui_help_job(play->joiner, play->awaited, false));
    assert_int_equal(n_exposed(play->other), 1);
    assert_int_equal(n_exposed(play->thief), 1);
    assert_int_equal(play->n_strangers, 0);

    /* once a thief has taken that, it comes to ours */
    mui_job_return(mui_seat_steal(play->thief, MUI_FIRST_SLOT));
    j = fork_exposed(j, &play->n_ours);
    assert_int_equal(play->n_ours, 0);
    assert_true(mui_help_job(play->joiner, play->awaited, false));
    assert_int_equal(play->n_ours, 1);
    mu_join_void(j, tick);
    assert_int_equal(play->n_ours, 1);
}

/* The older job, on the seat of the other: forks, and exposes. Meanwhile the thief
 * waits for it, and helps. */
static void older(struct mu_job *j, struct play *play, uint32_t top);
MU_FORKABLE_VOID(older, struct play *, uint32_t)
static void older(struct mu_job *j, struct play *play, uint32_t top)
{
    assert_ptr_equal(mui_seat_of(j), play->other);
    j = fork_exposed(j, &play->n_strangers);
    atomic_store_explicit(&play->thief->waiting, play->older,
                          memory_order_release);
    mui_job_run_stolen(play->thief, play->joiner, play->awaited, top);
    atomic_store_explicit(&play->thief->waiting, NULL, memory_order_release);
    assert_int_equal(play->n_strangers, 0);
    mu_join_void(j, tick);
}

/* The thief has one job exposed that is older than what it runs for the joiner (one
 * that it has gone on to since the joiner looked), and waits itself for an older one
 * that has exposed something elsewhere. Neither is the joiner's to run; what is
 * forked below the awaited job is. */
static void waiting_join_runs_only_what_is_below(void **state)
{
    struct mu_team *team = team_of(1);
    struct mu_job *of_joiner = team_enter(team);
    struct mu_job *of_thief = team_enter(team);
    struct mu_job *of_other = team_enter(team);
    struct play play = {.joiner = mui_seat_of(of_joiner),
                        .thief = mui_seat_of(of_thief),
                        .other = mui_seat_of(of_other)};
    int none = 0;

    (void)state;
    mu_fork(of_joiner, awaited, &play);
    mui_seat_ask(play.joiner);
    mu_fork(of_joiner, tick, &none);
    play.awaited = mui_seat_steal(play.joiner, MUI_FIRST_SLOT);
    assert_non_null(play.awaited);
    mu_join_void(of_joiner, tick);

    mu_fork(of_thief, older, &play, MUI_FIRST_SLOT + 2);
    mu_fork(of_thief, tick, &play.n_strangers);
    play.thief->n_exposed = 100; /* as in work that was asked often */
    mui_seat_ask(play.thief);
    mu_fork(of_thief, tick, &none);
    mu_fork(of_thief, tick, &none);
    assert_int_equal(n_exposed(play.thief), 2);
    play.older = mui_seat_steal(play.thief, MUI_FIRST_SLOT);
    assert_non_null(play.older);
    mu_join_void(of_thief, tick);
    mu_join_void(of_thief, tick);

    mui_job_run_stolen(play.other, play.thief, play.older, MUI_FIRST_SLOT);
    mu_join_void(of_joiner, awaited);
    assert_int_equal(play.n_ours, 1);
    mu_join_void(of_thief, tick);
    mu_join_void(of_thief, older);
    assert_int_equal(play.n_strangers, 2);
    assert_int_equal(mu_team_leave(of_other), 0);
    assert_int_equal(mu_team_leave(of_thief), 0);
    assert_int_equal(mu_team_leave(of_joiner), 0);
    mu_team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_join_runs_only_what_is_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
