/* test_supervisor.c: restart policies as traces, and the supervisor that carries them
 * out over real workers. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "muster/init.h"
#include "muster/lock.h"
#include "muster/worker.h"

#include "support/check.h"
#include "sys/census.h"
#include "worker/policy.h"

/* ---- decisions -------------------------------------------------------------- */

static const struct mu_worker_exit ok = {.end = MU_WORKER_RETURNED};
static const struct mu_worker_exit bad = {.end = MU_WORKER_CRASHED,
                                          .signal = SIGSEGV};

static void strategies_say_who_restarts(void **state)
{
    static const struct {
        enum mu_strategy strategy;
        size_t first;
        size_t last;
    } cases[] = {{MU_ONE_FOR_ONE, 2, 3},
                 {MU_ONE_FOR_ALL, 0, 5},
                 {MU_REST_FOR_ONE, 2, 5}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct mui_policy p = {
            .strategy = cases[i].strategy, .restarts_max = 1, .period_ns = 100};
        struct mui_decision d =
            mui_policy_decide(&p, 2, 5, MU_RESTART_ALWAYS, &bad, 1000);

        assert_int_equal(d.verdict, MUI_RESTART);
        assert_int_equal(d.first, cases[i].first);
        assert_int_equal(d.last, cases[i].last);
    }
}

static void restart_kinds_look_at_the_end(void **state)
{
    static const struct {
        enum mu_restart restart;
        const struct mu_worker_exit *how;
        enum mui_verdict verdict;
    } cases[] = {
        {MU_RESTART_ALWAYS, &ok, MUI_RESTART},
        {MU_RESTART_ALWAYS, &bad, MUI_RESTART},
        {MU_RESTART_FAILED, &ok, MUI_LEAVE},
        {MU_RESTART_FAILED, &bad, MUI_RESTART},
        {MU_RESTART_NEVER, &ok, MUI_LEAVE},
        {MU_RESTART_NEVER, &bad, MUI_LEAVE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mui_policy p = {.restarts_max = 9, .period_ns = 100};

        assert_int_equal(
            mui_policy_decide(&p, 0, 1, cases[i].restart, cases[i].how, 0)
                .verdict,
            cases[i].verdict);
    }
}

static void intensity_counts_within_the_period(void **state)
{
    /* times of ends; '.' restarted, '!' gave up */
    static const struct {
        int64_t now;
        char verdict;
    } trace[] = {{0, '.'},   {10, '.'},  {20, '.'},  {101, '.'},
                 {111, '.'}, {119, '!'}, {500, '.'}, {500, '.'},
                 {500, '.'}, {500, '!'}, {600, '!'}, {601, '.'}};
    struct mui_policy p = {.restarts_max = 3, .period_ns = 100};

    (void)state;
    for (size_t i = 0; i < sizeof trace / sizeof trace[0]; i++)
        assert_int_equal(
            mui_policy_decide(&p, 0, 1, MU_RESTART_ALWAYS, &bad, trace[i].now)
                        .verdict == MUI_GIVE_UP
                ? '!'
                : '.',
            trace[i].verdict);
}

static void no_restarts_allowed_gives_up_at_once(void **state)
{
    struct mui_policy p = {.restarts_max = 0, .period_ns = 100};

    (void)state;
    assert_int_equal(
        mui_policy_decide(&p, 0, 1, MU_RESTART_ALWAYS, &bad, 0).verdict,
        MUI_GIVE_UP);
}

/* ---- carried out ------------------------------------------------------------ */

static char history[512];

static void note(void *ctx, enum mu_event event, size_t i,
                 struct mu_worker *worker, const struct mu_worker_exit *how)
{
    static const char *const words[] = {"+", "-", "!"};
    size_t n = strlen(history);

    (void)ctx;
    (void)worker;
    (void)how;
    (void)snprintf(history + n, sizeof history - n, "%s%zu ", words[event], i);
}

struct shared {
    struct mu_semaphore die; /* one give, one death */
};

static int live_until_asked(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    while (!mu_worker_is_asked())
        ;
    return 0;
}

static int die_when_told(void *arg, size_t size)
{
    struct shared *s = *(struct shared **)arg;

    (void)size;
    while (!mu_worker_is_asked()) {
        if (mu_semaphore_take(&s->die, mu_after_ns(1000000)) == 0)
            (void)raise(SIGKILL);
    }
    return 0;
}

static void run_strategy(enum mu_strategy strategy, const char *expected)
{
    struct mu_supervisor_options how = {
        .strategy = strategy, .event = note, .restarts_max = 5};
    struct shared *shared = test_shared(sizeof *shared);
    struct mu_child children[3] = {
        {.fn = live_until_asked},
        {.fn = die_when_told, .arg = &shared, .arg_size = sizeof shared},
        {.fn = live_until_asked},
    };
    struct mu_supervisor *s;
    struct mu_error err;

    for (int i = 0; i < 3; i++)
        children[i].options.kind = MU_WORKER_PROCESS;
    history[0] = '\0';
    if (mu_supervisor_start(&how, children, 3, &s, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(mu_supervisor_run(s, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_semaphore_give(&shared->die, 1), 0);
    while (!strstr(history, expected))
        (void)mu_supervisor_run(s, mu_after_ns(1000000));
    assert_non_null(mu_supervisor_child(s, 1));
    history[0] = '\0';
    assert_int_equal(mu_supervisor_stop(s), 0);
    assert_string_equal(history, "-2 -1 -0 ");
    assert_int_equal(mu_supervisor_run(s, MU_NEVER), MU_CLOSED);
    mu_supervisor_free(s);
    munmap(shared, sizeof *shared);
}

static void one_for_one_restarts_it_alone(void **state)
{
    (void)state;
    run_strategy(MU_ONE_FOR_ONE, "+0 +1 +2 -1 +1 ");
}

static void one_for_all_restarts_all_in_order(void **state)
{
    (void)state;
    run_strategy(MU_ONE_FOR_ALL, "+0 +1 +2 -1 -2 -0 +0 +1 +2 ");
}

static void rest_for_one_restarts_those_behind(void **state)
{
    (void)state;
    run_strategy(MU_REST_FOR_ONE, "+0 +1 +2 -1 -2 +1 +2 ");
}

static int finish(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    return 0;
}

/* As OTP: with all of them one that had finished is started again, a temporary one is
 * not, whether it still ran or had finished too. */
static void all_are_those_that_had_finished_too(void **state)
{
    struct mu_supervisor_options how = {
        .strategy = MU_ONE_FOR_ALL, .event = note, .restarts_max = 5};
    struct shared *shared = test_shared(sizeof *shared);
    struct mu_child children[4] = {
        {.fn = finish, .restart = MU_RESTART_FAILED},
        {.fn = finish, .restart = MU_RESTART_NEVER},
        {.fn = live_until_asked, .restart = MU_RESTART_NEVER},
        {.fn = die_when_told, .arg = &shared, .arg_size = sizeof shared},
    };
    struct mu_supervisor *s;

    (void)state;
    for (int i = 0; i < 4; i++)
        children[i].options.kind = MU_WORKER_PROCESS;
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, children, 4, &s, NULL), 0);
    while (mu_supervisor_child(s, 0) || mu_supervisor_child(s, 1))
        (void)mu_supervisor_run(s, mu_after_ns(1000000));
    history[0] = '\0';
    assert_int_equal(mu_semaphore_give(&shared->die, 1), 0);
    while (!strstr(history, "+3 "))
        (void)mu_supervisor_run(s, mu_after_ns(1000000));
    /* the last may end again by then */
    assert_int_equal(strncmp(history, "-3 -2 +0 +3 ", 12), 0);
    assert_null(mu_supervisor_child(s, 1));
    assert_null(mu_supervisor_child(s, 2));
    mu_supervisor_free(s);
    munmap(shared, sizeof *shared);
}

static int die_at_once(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    return raise(SIGKILL);
}

static void too_many_restarts_stop_all(void **state)
{
    struct mu_supervisor_options how = {
        .event = note, .restarts_max = 2, .period_ns = INT64_C(1000000000000)};
    struct mu_child children[2] = {
        {.fn = live_until_asked, .options.kind = MU_WORKER_PROCESS},
        {.fn = die_at_once, .options.kind = MU_WORKER_PROCESS}};
    struct mu_supervisor *s;

    (void)state;
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, children, 2, &s, NULL), 0);
    assert_int_equal(mu_supervisor_run(s, test_deadline()), MU_ECRASHED);
    assert_string_equal(history, "+0 +1 -1 +1 -1 +1 -1 !1 -0 ");
    assert_int_equal(mu_supervisor_run(s, MU_NEVER), MU_ECRASHED);
    mu_supervisor_free(s);
}

static int never_listens(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    for (;;)
        (void)pause();
}

static void deaf_process_is_killed_in_its_time(void **state)
{
    struct mu_child child = {.fn = never_listens,
                             .options.kind = MU_WORKER_PROCESS,
                             .stop_ns = 1000000};
    struct mu_supervisor *s;

    (void)state;
    assert_int_equal(mu_supervisor_start(NULL, &child, 1, &s, NULL), 0);
    assert_int_equal(mu_supervisor_stop(s), 0);
    mu_supervisor_free(s);
    mu_supervisor_free(NULL);
}

static int die_when_asked(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    while (!mu_worker_is_asked())
        ;
    return raise(SIGTERM);
}

static struct mu_worker_exit ends[4];

static void note_end(void *ctx, enum mu_event event, size_t i,
                     struct mu_worker *worker, const struct mu_worker_exit *how)
{
    note(ctx, event, i, worker, how);
    if (event == MU_CHILD_ENDED)
        ends[i] = *how;
}

/* One does as it is asked, one is deaf, one dies of it, one is not even given time:
 * backwards all the same, and none of them is started again. */
static void shutdown_is_orderly_whatever_children_do(void **state)
{
    static const char *const expected[] = {"returned 0", "killed",
                                           "crashed: SIGTERM", "killed"};
    struct mu_supervisor_options how = {.strategy = MU_ONE_FOR_ALL,
                                        .event = note_end};
    struct mu_child children[4] = {
        {.fn = live_until_asked, .stop_ns = MU_NEVER},
        {.fn = never_listens, .stop_ns = 1000000},
        {.fn = die_when_asked, .stop_ns = MU_NEVER},
        {.fn = never_listens, .stop_ns = -1},
    };
    struct mu_supervisor *s;

    (void)state;
    for (int i = 0; i < 4; i++)
        children[i].options.kind = MU_WORKER_PROCESS;
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, children, 4, &s, NULL), 0);
    assert_int_equal(mu_supervisor_stop(s), 0);
    assert_string_equal(history, "+0 +1 +2 +3 -3 -2 -1 -0 ");
    for (int i = 0; i < 4; i++) {
        char text[64];

        (void)mu_worker_describe(&ends[i], text, sizeof text);
        assert_string_equal(text, expected[i]);
    }
    assert_int_equal(mu_supervisor_run(s, MU_NEVER), MU_CLOSED);
    mu_supervisor_free(s);
}

static int until_semaphore(void *arg, size_t size)
{
    struct shared *s = *(struct shared **)arg;

    (void)size;
    return mu_semaphore_take(&s->die, MU_NEVER);
}

static void slow_thread_is_reported_and_waited_for(void **state)
{
    struct shared *shared = test_shared(sizeof *shared);
    struct mu_child child = {.fn = until_semaphore,
                             .arg = &shared,
                             .arg_size = sizeof shared,
                             .stop_ns = 1000000};
    struct mu_supervisor *s;

    (void)state;
    assert_int_equal(mu_supervisor_start(NULL, &child, 1, &s, NULL), 0);
    assert_int_equal(mu_supervisor_stop(s), MU_TIMEOUT);
    assert_int_equal(mu_semaphore_give(&shared->die, 1), 0);
    while (mu_supervisor_stop(s) != 0) /* it ends, however slow it is */
        ;
    mu_supervisor_free(s);
    munmap(shared, sizeof *shared);
}

/* Also one that ends later than its time. */
static void stopped_child_is_not_started_again(void **state)
{
    struct mu_supervisor_options how = {.event = note, .restarts_max = 5};
    struct shared *shared = test_shared(sizeof *shared);
    struct mu_child child = {.fn = until_semaphore,
                             .arg = &shared,
                             .arg_size = sizeof shared,
                             .stop_ns = 1000000};
    struct mu_supervisor *s;

    (void)state;
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, &child, 1, &s, NULL), 0);
    assert_int_equal(mu_supervisor_stop(s), MU_TIMEOUT);
    assert_int_equal(mu_semaphore_give(&shared->die, 100), 0);
    assert_int_equal(mu_supervisor_run(s, test_deadline()), MU_CLOSED);
    assert_string_equal(history, "+0 -0 ");
    mu_supervisor_free(s);
    munmap(shared, sizeof *shared);
}

static int fail_when_told(void *arg, size_t size)
{
    (void)until_semaphore(arg, size);
    return 1;
}

static void count_stop(void *ctx, struct mu_worker *worker)
{
    (void)worker;
    ++*(int *)ctx;
}

/* One that should start again with another and is late: the supervisor gives up, and has
 * asked it once. */
static void late_thread_is_left_behind(void **state)
{
    struct mu_supervisor_options how = {
        .strategy = MU_ONE_FOR_ALL, .event = note, .restarts_max = 5};
    struct shared *shared = test_shared(2 * sizeof *shared);
    struct shared *other = shared + 1;
    int n_stops = 0;
    struct mu_child children[2] = {
        {.fn = until_semaphore,
         .arg = &shared,
         .arg_size = sizeof shared,
         .stop_ns = 1000000,
         .stop = count_stop,
         .stop_ctx = &n_stops},
        {.fn = fail_when_told, .arg = &other, .arg_size = sizeof other}};
    struct mu_supervisor *s;

    (void)state;
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, children, 2, &s, NULL), 0);
    assert_int_equal(mu_semaphore_give(&other->die, 1), 0);
    assert_int_equal(mu_supervisor_run(s, test_deadline()), MU_ECRASHED);
    assert_int_equal(mu_supervisor_stop(s), MU_TIMEOUT);
    assert_string_equal(history, "+0 +1 -1 !0 ");
    assert_int_equal(mu_semaphore_give(&shared->die, 1), 0);
    mu_supervisor_free(s);
    assert_int_equal(n_stops, 1);
    munmap(shared, 2 * sizeof *shared);
}

static struct mu_supervisor *supervisor;

static void note_and_stop(void *ctx, enum mu_event event, size_t i,
                          struct mu_worker *worker,
                          const struct mu_worker_exit *how)
{
    note(ctx, event, i, worker, how);
    if (event == MU_CHILD_ENDED)
        assert_int_equal(mu_supervisor_stop(supervisor), 0);
}

/* At the first end all are stopped, each once, and none is started again. */
static void end_is_answered_by_a_stop(void **state)
{
    struct mu_supervisor_options how = {
        .strategy = MU_ONE_FOR_ALL, .event = note_and_stop, .restarts_max = 5};
    struct mu_child children[3] = {{.fn = live_until_asked},
                                   {.fn = die_at_once},
                                   {.fn = live_until_asked}};

    (void)state;
    for (int i = 0; i < 3; i++)
        children[i].options.kind = MU_WORKER_PROCESS;
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, children, 3, &supervisor, NULL),
                     0);
    assert_int_equal(mu_supervisor_run(supervisor, test_deadline()), MU_CLOSED);
    assert_string_equal(history, "+0 +1 +2 -1 -2 -0 ");
    mu_supervisor_free(supervisor);
}

static struct rlimit descriptors; /* how many there may be, else */
static int n_starts;
static int n_ends;

/* No descriptor is left from the first end on. */
static void starve(void *ctx, enum mu_event event, size_t i,
                   struct mu_worker *worker, const struct mu_worker_exit *how)
{
    struct rlimit none = descriptors;

    (void)ctx;
    (void)i;
    (void)worker;
    (void)how;
    none.rlim_cur = 3;
    if (event == MU_CHILD_STARTED)
        n_starts++;
    if (event == MU_CHILD_ENDED && n_ends++ == 0)
        CHECK_CHILD(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

/* A supervisor whose child has ended and cannot be started. */
static struct mu_supervisor *starved(struct shared *shared, unsigned restarts)
{
    struct mu_supervisor_options how = {
        .restarts_max = restarts, .period_ns = INT64_MAX / 2, .event = starve};
    struct mu_child child = {.fn = die_when_told,
                             .arg = &shared,
                             .arg_size = sizeof shared,
                             .options.kind = MU_WORKER_PROCESS};
    struct mu_supervisor *s;

    n_starts = n_ends = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    assert_int_equal(mu_supervisor_start(&how, &child, 1, &s, NULL), 0);
    assert_int_equal(mu_semaphore_give(&shared->die, 1), 0);
    return s;
}

static void passing_lack_of_descriptors_is_outlived(void **state)
{
    struct shared *shared = test_shared(sizeof *shared);
    struct mu_supervisor *s = starved(shared, MUI_RESTARTS_MAX);

    (void)state;
    while (n_ends == 0)
        assert_int_equal(mu_supervisor_run(s, mu_after_ns(1000000)),
                         MU_TIMEOUT);
    assert_int_equal(mu_supervisor_run(s, MU_NOW), MU_TIMEOUT);
    assert_null(mu_supervisor_child(s, 0));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    while (n_starts < 2)
        assert_int_equal(mu_supervisor_run(s, mu_after_ns(1000000)),
                         MU_TIMEOUT);
    assert_non_null(mu_supervisor_child(s, 0));
    mu_supervisor_free(s);
    munmap(shared, sizeof *shared);
}

static void lasting_lack_of_descriptors_counts_as_restarts(void **state)
{
    struct shared *shared = test_shared(sizeof *shared);
    struct mu_supervisor *s = starved(shared, 3);
    int rc = mu_supervisor_run(s, test_deadline());

    (void)state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    assert_int_equal(rc, MU_ECRASHED);
    assert_int_equal(n_starts, 1);
    mu_supervisor_free(s);
    munmap(shared, sizeof *shared);
}

/* Those that end together under one for all are one restart, as OTP counts. */
static void siblings_that_end_together_are_one_restart(void **state)
{
    struct mu_supervisor_options how = {.strategy = MU_ONE_FOR_ALL,
                                        .event = note,
                                        .restarts_max = 1,
                                        .period_ns = INT64_MAX / 2};
    struct shared *shared = test_shared(sizeof *shared);
    struct mu_child children[2];
    struct mu_supervisor *s;

    (void)state;
    for (int i = 0; i < 2; i++)
        children[i] = (struct mu_child){.fn = die_when_told,
                                        .arg = &shared,
                                        .arg_size = sizeof shared,
                                        .options.kind = MU_WORKER_PROCESS};
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, children, 2, &s, NULL), 0);
    assert_int_equal(mu_semaphore_give(&shared->die, 2), 0);
    for (size_t i = 0; i < 2; i++) { /* both are dead before anybody looks */
        struct pollfd p = {.fd = mu_worker_fd(mu_supervisor_child(s, i)),
                           .events = POLLIN};

        assert_int_equal(poll(&p, 1, -1), 1);
    }
    assert_int_equal(mu_supervisor_run(s, MU_NOW), MU_TIMEOUT);
    assert_non_null(mu_supervisor_child(s, 0));
    assert_non_null(mu_supervisor_child(s, 1));
    assert_null(strstr(history, "!"));
    mu_supervisor_free(s);
    munmap(shared, sizeof *shared);
}

enum { N_ENDING = 20, N_STARTS_MAX = 1000 };

/* None is looked at before it has ended. */
static void let_it_end(void *ctx, enum mu_event event, size_t i,
                       struct mu_worker *worker,
                       const struct mu_worker_exit *how)
{
    struct pollfd p = {.fd = mu_worker_fd(worker), .events = POLLIN};

    (void)i;
    (void)how;
    if (event != MU_CHILD_STARTED)
        return;
    assert_int_equal(poll(&p, 1, -1), 1);
    if (++n_starts == N_STARTS_MAX)
        (void)mu_supervisor_stop(*(struct mu_supervisor **)ctx);
}

static void what_ends_behind_the_deadline_is_left(void **state)
{
    struct mu_supervisor *s;
    struct mu_supervisor_options how = {.restarts_max = MUI_RESTARTS_MAX,
                                        .period_ns = 1,
                                        .event = let_it_end,
                                        .event_ctx = &s};
    struct mu_child children[N_ENDING];

    (void)state;
    for (int i = 0; i < N_ENDING; i++)
        children[i] = (struct mu_child){.fn = finish};
    n_starts = 0;
    assert_int_equal(mu_supervisor_start(&how, children, N_ENDING, &s, NULL),
                     0);
    assert_int_equal(mu_supervisor_run(s, MU_NOW), MU_TIMEOUT);
    /* all that were due; and one that came next may be looked at, too */
    assert_in_range(n_starts, 2 * N_ENDING, 2 * N_ENDING + 1);
    mu_supervisor_free(s);
}

static void stopped_nursery_tells_of_children(void **state)
{
    struct mu_supervisor_options how = {.event = note, .restarts_max = 1};
    struct mu_child child = {.fn = live_until_asked,
                             .options.kind = MU_WORKER_PROCESS};
    struct mu_worker *thread;
    struct mu_supervisor *s;
    pid_t nursery;
    pid_t guardian;

    (void)state;
    assert_int_equal(
        mu_worker_start(NULL, live_until_asked, NULL, 0, &thread, NULL), 0);
    history[0] = '\0';
    assert_int_equal(mu_supervisor_start(&how, &child, 1, &s, NULL), 0);
    nursery = mui_census_parent(mu_worker_pid(mu_supervisor_child(s, 0)));
    guardian = mui_census_parent(nursery);
    assert_true(nursery > 1 && guardian > 1); /* -1 would be everybody */
    assert_int_equal(test_kill(nursery, SIGSTOP), 0);
    assert_int_equal(test_kill(guardian, SIGSTOP), 0);
    assert_int_equal(mu_worker_kill(mu_supervisor_child(s, 0), NULL), 0);
    while (!strstr(history, "-0 +0 "))
        assert_int_equal(mu_supervisor_run(s, mu_after_ns(3000000000)),
                         MU_TIMEOUT);
    mu_supervisor_free(s);
    mu_worker_free(thread);
}

static void too_high_an_intensity_is_refused(void **state)
{
    struct mu_supervisor_options how = {.restarts_max = MUI_RESTARTS_MAX + 1};
    struct mu_child child = {.fn = live_until_asked};
    struct mu_supervisor *s;

    (void)state;
    assert_int_equal(mu_supervisor_start(&how, &child, 1, &s, NULL), -EINVAL);
    how.restarts_max = 1;
    how.period_ns = -1;
    assert_int_equal(mu_supervisor_start(&how, &child, 1, &s, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strategies_say_who_restarts),
        cmocka_unit_test(restart_kinds_look_at_the_end),
        cmocka_unit_test(intensity_counts_within_the_period),
        cmocka_unit_test(no_restarts_allowed_gives_up_at_once),
        cmocka_unit_test(one_for_one_restarts_it_alone),
        cmocka_unit_test(one_for_all_restarts_all_in_order),
        cmocka_unit_test(rest_for_one_restarts_those_behind),
        cmocka_unit_test(all_are_those_that_had_finished_too),
        cmocka_unit_test(too_many_restarts_stop_all),
        cmocka_unit_test(passing_lack_of_descriptors_is_outlived),
        cmocka_unit_test(lasting_lack_of_descriptors_counts_as_restarts),
        cmocka_unit_test(what_ends_behind_the_deadline_is_left),
        cmocka_unit_test(stopped_nursery_tells_of_children),
        cmocka_unit_test(too_high_an_intensity_is_refused),
        cmocka_unit_test(siblings_that_end_together_are_one_restart),
        cmocka_unit_test(deaf_process_is_killed_in_its_time),
        cmocka_unit_test(shutdown_is_orderly_whatever_children_do),
        cmocka_unit_test(slow_thread_is_reported_and_waited_for),
        cmocka_unit_test(late_thread_is_left_behind),
        cmocka_unit_test(stopped_child_is_not_started_again),
        cmocka_unit_test(end_is_answered_by_a_stop),
    };

    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
