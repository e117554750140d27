/* test_worker_moves.c: what a pool makes of each move of its workers: they come, take an
 * order, or die, when the test says so. Two calls of the library pass here by the linker's
 * help (--wrap, CMakeLists.txt): so a worker can go on between two looks. */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "pool/pool.h"
#include "support/check.h"
#include "sync/lane_memory.h"
#include "sys/forked.h"

enum { N_SLOTS = 16, GROUPS_MAX = 2, LANES_MAX = 2, OLD = 8 };

struct hand_lane {
    struct mui_lane_worker worker;
    struct mui_lane_memory memory;
};

static struct {
    struct mu_pool *pool;
    struct mui_layer layer;
    struct mui_lane lanes[GROUPS_MAX][LANES_MAX];
    struct hand_lane hands[GROUPS_MAX][LANES_MAX];
    /* of the job that is killed: how many lay in its lane by then */
    unsigned n_left;
    /* this one begins its next order at the so manieth call; 0: none does */
    struct mui_lane_worker *beginner;
    unsigned n_to_clock;
    unsigned n_to_started;
    bool ends_before; /* and says first that this has ended */
    uint32_t index;
} the;

/* -- workers -- */

static uint32_t begin(struct mui_lane_worker *w)
{
    const struct mui_order *order;
    uint32_t index;

    assert_int_equal(mui_lane_take(w, &order, &index), MU_OK);
    return index;
}

static void end(struct mui_lane_worker *w, uint32_t index)
{
    const struct mui_reply reply = {.index = index,
                                    .kind = MUI_REPLY_RAN,
                                    .form = MUI_FORM_INLINE,
                                    .start_ns = 1};

    mui_lane_reply(w, &reply);
}

/* What the test has asked for. */
static void go_on(void)
{
    if (the.ends_before)
        end(the.beginner, the.index);
    (void)begin(the.beginner);
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int64_t __real_mu_now_ns(void);
int64_t __wrap_mu_now_ns(void);
uint32_t __real_mui_lane_started(const struct mui_lane *lane,
                                 int64_t *ret_start_ns);
uint32_t __wrap_mui_lane_started(const struct mui_lane *lane,
                                 int64_t *ret_start_ns);

int64_t __wrap_mu_now_ns(void)
{
    if (the.n_to_clock > 0 && --the.n_to_clock == 0)
        go_on();
    return __real_mu_now_ns();
}

/* Of callers outside of lane.c. */
uint32_t __wrap_mui_lane_started(const struct mui_lane *lane,
                                 int64_t *ret_start_ns)
{
    uint32_t started = __real_mui_lane_started(lane, ret_start_ns);

    if (the.n_to_started > 0 && --the.n_to_started == 0)
        go_on();
    return started;
}
/* NOLINTEND(readability-identifier-naming) */

static void ring_nobody(struct mui_lane_worker *w, uint32_t why)
{
    (void)w;
    (void)why;
}

static void hand_alarm(struct mui_layer *l, int64_t when)
{
    (void)l;
    (void)when;
}

/* No other worker comes. */
static void hand_kill(struct mui_layer *l, unsigned i_group, int how)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN, .ended = true};
    const struct mui_lane *lane = &the.lanes[i_group][0];

    (void)l;
    death.how = how == MUI_DEATH_CORRUPT ? MUI_DEATH_CORRUPT : MUI_DEATH_KILLED;
    the.n_left = 0;
    for (uint32_t i = lane->head; i != lane->tail; i++)
        the.n_left += mui_lane_owner(lane, i) != NULL;
    the.pool->desk.ops->died(&the.pool->desk, i_group, &death);
}

static int64_t hand_up_since(struct mui_layer *l, unsigned i_group)
{
    (void)l;
    (void)i_group;
    return 1;
}

static const struct mui_layer_ops hand_ops = {
    .name = "hand",
    .caps = MUI_LAYER_HOSTS | MUI_LAYER_ISOLATES,
    .alarm = hand_alarm,
    .kill = hand_kill,
    .up_since = hand_up_since,
};

/* -- the pool -- */

static void *zeros(size_t bytes)
{
    void *memory = aligned_alloc(4096, bytes);

    assert_non_null(memory);
    memset(memory, 0, bytes);
    return memory;
}

static void open_lane(unsigned i_group, unsigned i_lane)
{
    struct hand_lane *hand = &the.hands[i_group][i_lane];

    hand->memory =
        (struct mui_lane_memory){.down = zeros(mui_lane_down_bytes(N_SLOTS)),
                                 .up = zeros(mui_lane_up_bytes(N_SLOTS)),
                                 .n_slots = N_SLOTS};
    assert_int_equal(mui_lane_init(&the.lanes[i_group][i_lane], &hand->memory),
                     0);
    mui_lane_worker_init(&hand->worker, &hand->memory);
    hand->worker.ring = ring_nobody;
}

/* A pool whose workers are all on their way: see come(). */
static void open_pool(unsigned n_groups, unsigned n_lanes)
{
    struct mu_pool *pool = calloc(1, sizeof *pool);

    memset(&the, 0, sizeof the);
    the.pool = pool;
    the.layer.ops = &hand_ops;
    pool->desk.ops = &mui_pool_desk_ops;
    (void)pthread_mutex_init(&pool->lock, NULL);
    pool->forked = mui_forked();
    pool->alarm_ns = MU_NEVER;
    pool->arena.read_fd = -1;
    pool->layer = &the.layer;
    pool->model.layers[0].ops = &hand_ops;
    pool->model.n_lanes = n_groups * n_lanes;
    pool->terms.n_slots = N_SLOTS;
    pool->options.queue_tasks = N_SLOTS;
    pool->options.queue_bytes = 1;
    pool->has_neighbours = n_lanes > 1;
    pool->store = mui_job_store_new();
    pool->n_groups = n_groups;
    pool->groups = calloc(n_groups, sizeof *pool->groups);
    for (unsigned i = 0; i < n_groups; i++) {
        pool->groups[i].n_lanes = n_lanes;
        pool->groups[i].i_first = i * n_lanes;
        for (unsigned j = 0; j < n_lanes; j++)
            open_lane(i, j);
    }
}

static void drop_job(void *ctx, struct mui_job *job)
{
    (void)ctx;
    job->state = MUI_JOB_TAKEN;
    mui_job_free(job);
}

static void close_pool(void)
{
    struct mu_pool *pool = the.pool;

    mui_job_each(pool->store, drop_job, NULL);
    mui_job_store_abandon(pool->store);
    for (unsigned i = 0; i < pool->n_groups; i++)
        for (unsigned j = 0; j < pool->groups[0].n_lanes; j++) {
            mui_lane_fini(&the.lanes[i][j]);
            free(the.hands[i][j].memory.down);
            free(the.hands[i][j].memory.up);
        }
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool->groups);
    free(pool);
}

/* A worker is there, and is given what there is for it. */
static void come(unsigned i_group)
{
    struct mu_pool *pool = the.pool;

    pool->desk.ops->attach(&pool->desk, i_group, the.lanes[i_group],
                           pool->groups[i_group].n_lanes);
}

static int do_nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

static struct mui_job *submit(void)
{
    const struct mu_submit how = {.tag = 0};
    const struct mu_span input = {.data = NULL};
    struct mui_kind kind;
    uint64_t id;

    assert_int_equal(mui_pool_prepare(&kind, do_nothing), 0);
    assert_int_equal(mui_pool_submit(the.pool, &kind, &input, &how, 0, &id), 0);
    return mui_job_find(the.pool->store, id);
}

/* The same for a suspect, while no worker is there. */
static struct mui_job *submit_suspect(uint8_t n_reruns)
{
    struct mui_job *job = submit();

    assert_ptr_equal(mui_job_pop(&the.pool->queue), job);
    job->out.attempts = 1;
    job->n_reruns = n_reruns;
    mui_pool_requeue(the.pool, job, true, true);
    return job;
}

static struct mui_lane_worker *worker(unsigned i_group, unsigned i_lane)
{
    return &the.hands[i_group][i_lane].worker;
}

static void assert_given(const struct mui_job *job, unsigned i_lane)
{
    assert_int_equal(job->state, MUI_JOB_GIVEN);
    assert_int_equal(job->out.worker, i_lane);
}

/* -- tests -- */

/* The process of A and B is short of memory by A; it lives for a while yet, and its other
 * thread begins B when one has looked what began there. */
static void task_that_begins_in_a_dying_worker_is_not_charged(void **state)
{
    const struct mui_death death = {.how = MUI_DEATH_CRASHED,
                                    .signal = SIGSEGV,
                                    .out_of_memory = true,
                                    .i_lane = 0};
    struct mui_job *a;
    struct mui_job *b;

    (void)state;
    open_pool(1, 2);
    a = submit();
    b = submit();
    come(0);
    assert_given(a, 0);
    assert_given(b, 1);
    (void)begin(worker(0, 0));
    the.beginner = worker(0, 1);
    the.n_to_clock = 2; /* a look at each lane, and then at the clock */
    the.pool->desk.ops->died(&the.pool->desk, 0, &death);
    assert_int_equal(the.n_to_clock, 0);
    assert_int_equal(a->state, MUI_JOB_ENDED);
    assert_int_equal(a->out.status, MU_OUT_OF_MEMORY);
    assert_int_equal(b->state, MUI_JOB_HELD);
    the.pool->desk.ops->ended(&the.pool->desk, death.worker);
    assert_int_equal(b->state, MUI_JOB_SUSPECT);
    close_pool();
}

/* Two lanes with two jobs each, of which the first has begun. */
static void open_busy_pool(struct mui_job *jobs[4])
{
    open_pool(1, 2);
    for (int i = 0; i < 4; i++)
        jobs[i] = submit();
    come(0);
    for (unsigned i = 0; i < 4; i++)
        assert_given(jobs[i], i / 2);
    (void)begin(worker(0, 0));
    the.index = begin(worker(0, 1));
}

/* Another thread of the process goes on until that is killed, and begins the next when one
 * has looked what it was at: the next attempt waits for its end. */
static void task_that_begins_in_a_dying_worker_is_held(void **state)
{
    const struct mui_death death = {
        .how = MUI_DEATH_CRASHED, .signal = SIGTERM, .i_lane = 0};
    struct mui_job *jobs[4];

    (void)state;
    open_busy_pool(jobs);
    the.beginner = worker(0, 1);
    the.ends_before = true;
    the.n_to_started = 2; /* a look at each lane */
    the.pool->desk.ops->died(&the.pool->desk, 0, &death);
    assert_int_equal(the.n_to_started, 0);
    assert_int_equal(jobs[3]->state, MUI_JOB_HELD);
    assert_int_equal(jobs[3]->out.attempts, 0);
    the.pool->desk.ops->ended(&the.pool->desk, death.worker);
    assert_int_equal(jobs[3]->state, MUI_JOB_QUEUED);
    close_pool();
}

/* What has not begun goes on at once: it cannot begin there any more. */
static void nothing_begins_in_a_dying_worker_that_is_not_held(void **state)
{
    const struct mui_death death = {
        .how = MUI_DEATH_CRASHED, .signal = SIGTERM, .i_lane = 0};
    const struct mui_order *order;
    struct mui_job *jobs[4];
    uint32_t index;

    (void)state;
    open_busy_pool(jobs);
    the.pool->desk.ops->died(&the.pool->desk, 0, &death);
    assert_int_equal(jobs[0]->state, MUI_JOB_ENDED);
    assert_int_equal(jobs[2]->state, MUI_JOB_HELD);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(jobs[2 * i + 1]->state, MUI_JOB_QUEUED);
        assert_int_equal(jobs[2 * i + 1]->n_reruns, 0);
        assert_int_equal(mui_lane_take(worker(0, i), &order, &index), MU_EMPTY);
    }
    assert_ptr_equal(the.pool->queue.first, jobs[1]);
    close_pool();
}

/* It is killed for the first, of which it says that it has not begun it, and begins it
 * then. The others are to be out of its reach. */
static void nothing_begins_behind_what_a_worker_is_killed_for(void **state)
{
    struct mui_job *jobs[4];

    (void)state;
    open_pool(1, 1);
    for (int i = 0; i < 4; i++)
        jobs[i] = submit();
    come(0);
    for (int i = 0; i < 4; i++)
        assert_given(jobs[i], 0);
    the.beginner = worker(0, 0);
    the.n_to_started = 1;
    mui_pool_kill(the.pool, jobs[0], MU_CANCELLED);
    assert_int_equal(the.n_to_started, 0);
    assert_int_equal(the.n_left, 1);
    close_pool();
}

/* It had ended when that was decided, and the next has begun: nobody is to be killed. */
static void who_has_just_ended_is_not_overdue(void **state)
{
    const int64_t timeout_ns = 1000;
    struct mui_job *jobs[2];

    (void)state;
    open_pool(1, 1);
    for (int i = 0; i < 2; i++)
        jobs[i] = submit();
    mui_job_own_extras(jobs[0])->timeout_ns = timeout_ns;
    the.pool->n_timeouts = 1;
    come(0);
    the.index = begin(worker(0, 0));
    mui_lane_note_start(worker(0, 0), jobs[0]->extras.given_ns + 1);
    the.beginner = worker(0, 0);
    the.ends_before = true;
    the.n_to_started = 1;
    (void)mui_pool_deadlines(the.pool,
                             jobs[0]->extras.given_ns + 2 * timeout_ns);
    assert_int_equal(the.n_to_started, 0);
    assert_int_equal(jobs[0]->state, MUI_JOB_ENDED);
    assert_int_equal(jobs[0]->out.status, MU_DONE);
    assert_given(jobs[1], 0);
    assert_int_equal(jobs[1]->out.attempts, 1);
    assert_int_equal(the.pool->stats.n_workers_died, 0);
    close_pool();
}

/* It says that it has not begun: a task has its own time, and not a second more. */
static void who_has_yet_to_begin_is_looked_at_in_time(void **state)
{
    const int64_t timeout_ns = INT64_C(10000000000);
    struct mui_job *job;

    (void)state;
    open_pool(1, 1);
    job = submit();
    mui_job_own_extras(job)->timeout_ns = timeout_ns;
    the.pool->n_timeouts = 1;
    come(0);
    assert_true(mui_pool_deadlines(the.pool, job->extras.given_ns) <=
                job->extras.given_ns + timeout_ns);
    close_pool();
}

/* Of two suspects that take turns one is long at it, on the second worker. */
/* What one attempt took is not counted against the next. */
static void each_attempt_has_its_time(void **state)
{
    const int64_t timeout_ns = INT64_C(10000000000);
    const struct mui_death death = {
        .how = MUI_DEATH_KILLED, .i_lane = MUI_LANE_UNKNOWN, .ended = true};
    struct mui_job *job;

    (void)state;
    open_pool(2, 1);
    job = submit();
    mui_job_own_extras(job)->timeout_ns = timeout_ns;
    the.pool->n_timeouts = 1;
    for (unsigned i = 0; i < 2; i++) {
        int64_t start_ns;

        come(i);
        assert_given(job, i);
        start_ns = job->extras.given_ns + 1;
        (void)begin(worker(i, 0));
        mui_lane_note_start(worker(i, 0), start_ns);
        assert_int_equal(mui_pool_deadlines(the.pool, start_ns),
                         start_ns + timeout_ns);
        the.pool->desk.ops->died(&the.pool->desk, i, &death);
    }
    close_pool();
}

static void queue_goes_on_beside_a_suspect_that_is_held_apart(void **state)
{
    struct mui_job *a;
    struct mui_job *b;

    (void)state;
    open_pool(2, 1);
    b = submit_suspect(OLD);
    a = submit_suspect(OLD);
    come(1);
    assert_given(a, 1);
    come(0);
    assert_int_equal(b->state, MUI_JOB_SUSPECT);
    assert_given(submit(), 0);
    close_pool();
}

/* One has the first worker; the second has to run empty for the other. */
static void suspect_is_not_kept_waiting_by_the_queue(void **state)
{
    struct mui_job *a;
    struct mui_job *b;
    struct mui_job *c;

    (void)state;
    open_pool(2, 1);
    b = submit_suspect(1);
    a = submit_suspect(1);
    come(0);
    assert_given(a, 0);
    /* as if the second was given it before there was a suspect */
    assert_ptr_equal(mui_job_pop(&the.pool->suspects), b);
    c = submit();
    come(1);
    assert_given(c, 1);
    b->state = MUI_JOB_SUSPECT;
    mui_job_push_back(&the.pool->suspects, b);
    assert_int_equal(submit()->state, MUI_JOB_QUEUED);
    assert_int_equal(b->state, MUI_JOB_SUSPECT);
    close_pool();
}

/* Nothing is taken back for the lane that it leaves empty. */
static void worker_of_a_suspect_is_not_idle(void **state)
{
    struct mui_job *jobs[4];
    struct mui_job *a;

    (void)state;
    open_pool(2, 2);
    a = submit_suspect(1);
    come(0);
    assert_given(a, 0);
    for (int i = 0; i < 4; i++)
        jobs[i] = submit();
    come(1);
    for (unsigned i = 0; i < 2; i++) {
        (void)begin(worker(1, i));
        mui_lane_note_start(worker(1, i), 1); /* long ago */
    }
    assert_false(mui_pool_pump(the.pool));
    for (int i = 0; i < 4; i++)
        assert_int_equal(jobs[i]->state, MUI_JOB_GIVEN);
    close_pool();
}

static _Atomic bool is_submitted;

static void *submit_when_there_is_room(void *arg)
{
    (void)arg;
    (void)submit();
    atomic_store(&is_submitted, true);
    return NULL;
}

static void await_sleeper(struct mu_pool *pool, int64_t deadline)
{
    unsigned n;

    do {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
        (void)pthread_mutex_lock(&pool->lock);
        n = pool->n_waiting;
        (void)pthread_mutex_unlock(&pool->lock);
    } while (n == 0);
}

/* The queue goes to it, and nothing ends. */
static void worker_that_comes_makes_room(void **state)
{
    const int64_t deadline = test_deadline();
    pthread_t other;
    bool is_over;

    (void)state;
    open_pool(1, 1);
    the.pool->doubt_ns = MU_NEVER; /* else who sleeps looks some time */
    for (int i = 0; i < N_SLOTS; i++)
        (void)submit();
    atomic_store(&is_submitted, false);
    assert_int_equal(
        pthread_create(&other, NULL, submit_when_there_is_room, NULL), 0);
    await_sleeper(the.pool, deadline);
    (void)pthread_mutex_lock(&the.pool->lock);
    come(0);
    (void)pthread_mutex_unlock(&the.pool->lock);
    do
        (void)sched_yield();
    while (!(is_over = atomic_load(&is_submitted)) && mu_now_ns() < deadline);
    mui_pool_news(the.pool);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(is_over);
    close_pool();
}

/* One of which the quarter is nothing; else two that wait for room wake each other, again
 * and again. */
static void short_queue_that_is_full_has_no_room(void **state)
{
    const struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};

    (void)state;
    open_pool(1, 1);
    the.pool->options.queue_tasks = 1;
    the.pool->options.window = 1;
    come(0);
    assert_given(submit(), 0);
    assert_int_equal(submit()->state, MUI_JOB_QUEUED);
    assert_int_equal(mu_pool_submit(the.pool, do_nothing, NULL, 0, &how, NULL),
                     MU_FULL);
    assert_true(the.pool->was_full);
    assert_false(mui_pool_pump(the.pool));
    assert_true(the.pool->was_full);
    close_pool();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_that_begins_in_a_dying_worker_is_not_charged),
        cmocka_unit_test(task_that_begins_in_a_dying_worker_is_held),
        cmocka_unit_test(nothing_begins_in_a_dying_worker_that_is_not_held),
        cmocka_unit_test(nothing_begins_behind_what_a_worker_is_killed_for),
        cmocka_unit_test(who_has_just_ended_is_not_overdue),
        cmocka_unit_test(who_has_yet_to_begin_is_looked_at_in_time),
        cmocka_unit_test(each_attempt_has_its_time),
        cmocka_unit_test(queue_goes_on_beside_a_suspect_that_is_held_apart),
        cmocka_unit_test(suspect_is_not_kept_waiting_by_the_queue),
        cmocka_unit_test(worker_of_a_suspect_is_not_idle),
        cmocka_unit_test(worker_that_comes_makes_room),
        cmocka_unit_test(short_queue_that_is_full_has_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
