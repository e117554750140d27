/* worker.c: the inside of a worker process.
 *
 * A worker that a task has changed in a way that outlives the task (threads or
 * children left behind, its bell closed, memory), or that has run enough, is spent:
 * each of its lanes ends after the order it has, and the process with the last of
 * them. The supervisor puts another in its place, which is cheap, instead of hoping. */
#include "process/worker.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/pool.h"

#include "process/crash.h"
#include "process/sandbox.h"
#include "process/state.h"
#include "sys/arithmetic.h"
#include "sys/calls.h"
#include "sys/census.h"
#include "sys/forked.h"
#include "sys/futex.h"
#include "sys/thread.h"

static struct {
    struct mui_block block;
    struct mui_block_shape shape;
    struct mui_worker_head *head;
    int bell_fd;
    ino_t bell_inode; /* tells our bell from what a task put in its place */
    const struct mui_board *board;
    unsigned n_places;
    uint32_t place; /* ours */
    struct mui_lane_worker *lanes;
    unsigned n_lanes;
    struct mui_limits limits;
    uint32_t forked;         /* mui_forked() here, and not in children */
    bool asks_after_each;    /* is_spent_now() is asked after every task */
    bool is_pumped;          /* one thread runs all tasks; constant once `up` */
    unsigned n_threads;      /* that belong here; the same */
    uint64_t data_bytes;     /* before the first task; the same */
    uint64_t may_grow_bytes; /* beyond that; 0: however much; the same */
    uint64_t n_files;        /* open before the first task; the same */
    struct mui_state state;  /* the same */
    pthread_mutex_t look_lock; /* one thread looks at a time */
    _Atomic uint32_t up;       /* futex: lanes can be served */
    _Atomic bool ran;          /* a task, since the last look */
    unsigned n_believed;       /* see made_no_calls(); by look_lock */
    _Atomic uint64_t n_waited; /* mui_census_waited() at that */
    _Atomic unsigned n_tasks;
    _Atomic bool spent;
} the = {.look_lock = PTHREAD_MUTEX_INITIALIZER};

/* -- the bell -- */

static bool bell_is_ours(void)
{
    struct stat st;

    return fstat(the.bell_fd, &st) == 0 && st.st_ino == the.bell_inode &&
           S_ISSOCK(st.st_mode);
}

/* Signal-safe. False: the bell is gone, or a task had it fall silent: shutdown(), or an
 * empty record, which the supervisor takes for its end, and closes it. */
static bool ring(void)
{
    int saved = errno;
    bool rings = bell_is_ours();

    /* full means that it rings already */
    if (rings && send(the.bell_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        rings = errno != EPIPE && errno != ECONNRESET;
    errno = saved;
    return rings;
}

/* -- last words -- */

static void ring_last_words(void)
{
    (void)ring();
}

static void wake_next(void)
{
    mui_board_wake_next(the.board, the.n_places);
}

static bool is_attended(void)
{
    return mui_board_is_attended(the.board);
}

/* This worker is spent: let the other lanes know, which may sleep. */
static void end_all(const struct mui_lane_worker *by)
{
    if (atomic_exchange_explicit(&the.spent, true, memory_order_seq_cst))
        return;
    for (unsigned i = 0; i < the.n_lanes; i++)
        if (&the.lanes[i] != by)
            mui_lane_nudge(&the.lanes[i]);
}

static void ring_lane(struct mui_lane_worker *lane, uint32_t why)
{
    (void)why;
    if (ring())
        return;
    /* The supervisor cannot hear us. Each lane leaves after what it runs, the process ends
     * with the last of them, and that is noticed. Until then what the lanes have to say is
     * looked for: see mui_processes_see_mute(). It does not end sooner, for what runs on
     * other lanes would end with it. */
    end_all(lane);
}

/* -- leftovers -- */

/* The earliest start of what runs on other lanes; MU_NEVER: nothing does. */
static int64_t others_run_since(const struct mui_lane_worker *but)
{
    int64_t since = MU_NEVER;

    for (unsigned i = 0; i < the.n_lanes; i++)
        if (&the.lanes[i] != but) {
            int64_t start = mui_lane_running_since(&the.lanes[i]);

            since = start < since ? start : since;
        }
    return since;
}

/* Whether there are threads or children that no task has which runs beside `lane`:
 * while one does, those that came after it may be its own. What is not certain now
 * is at the look after that one has ended. */
static bool has_orphans(const struct mui_lane_worker *lane)
{
    int64_t since = others_run_since(lane);
    int64_t then;

    if (!mui_census_has_threads_beyond(the.n_threads) &&
        !mui_census_has_children())
        return false;
    /* one that began meanwhile; one that ended too is missed, and costs a worker */
    then = others_run_since(lane);
    since = then < since ? then : since;
    return since == MU_NEVER || mui_census_has_older(the.n_threads, since);
}

static void take_state(struct mui_state *ret_state)
{
    enum mui_state_threads threads = !the.is_pumped      ? MUI_STATE_MANY
                                     : the.n_threads > 1 ? MUI_STATE_OURS
                                                         : MUI_STATE_ONE;

    if (the.limits.sandbox & MU_SANDBOX_PURE)
        mui_state_take_pure(threads, ret_state);
    else
        mui_state_take(threads, ret_state);
}

/* Whether the process is not what it was before the first task, by any that does not
 * still run: what system() changes meanwhile is seen at the look after it. */
static bool is_changed(const struct mui_lane_worker *lane)
{
    bool beside = others_run_since(lane) != MU_NEVER;
    struct mui_state now;

    take_state(&now);
    /* one that began meanwhile */
    beside = beside || others_run_since(lane) != MU_NEVER;
    return !mui_state_equals(&now, &the.state, beside);
}

/* Whether so much memory stays that those who come later would miss it, or nobody can tell
 * any more. What tasks hold that still run beside is not left behind, unless every byte was
 * asked about, or it is twice as much: a worker that is never alone would keep it. */
static bool has_grown(const struct mui_lane_worker *lane)
{
    return the.may_grow_bytes &&
           mui_limits_data_bytes() > the.data_bytes + the.may_grow_bytes &&
           (the.limits.recycle_bytes || others_run_since(lane) == MU_NEVER ||
            mui_limits_data_bytes() > the.data_bytes + 2 * the.may_grow_bytes);
}

/* The same of descriptors: a quarter of those that it may open. */
static bool keeps_files(const struct mui_lane_worker *lane)
{
    uint64_t n = mui_census_files();
    uint64_t may_open = mui_limits_files();

    return n > the.n_files && may_open > the.n_files &&
           n - the.n_files > (may_open - the.n_files) / 4 &&
           others_run_since(lane) == MU_NEVER;
}

/* The same of what it takes no system call to change, or to see. */
static bool is_changed_in_memory(void)
{
    struct mui_state_memory now;
    bool changed;

    mui_arithmetic_restore();
    mui_crash_excuse(true);
    mui_state_take_memory(&now);
    changed = !mui_state_memory_equals(&now, &the.state.memory);
    mui_crash_excuse(false);
    return changed;
}

/* Have it said of the tasks that come whether one makes a system call: while none has,
 * there is nothing that only such calls would tell. Not where there is another thread,
 * which could make one in its place; nor with a handler that could not be interrupted to
 * say so. A few that change nothing pass, 2 us each, where each task is looked at, which
 * takes 26; elsewhere the first ends the watch until the next look. */
static void watch_calls(void)
{
    enum { PASSES = 4 };

    if (the.n_lanes == 1 && the.n_threads == 1 &&
        !the.state.passing.holds_sigsys)
        (void)mui_crash_watch_calls(the.limits.strict ? PASSES : 0);
}

/* A child that ended may have left children of its own. They are the nursery's by now,
 * which does not hear of it. */
static void tell_of_orphans(void)
{
    uint64_t n = mui_census_waited();

    /* relaxed: each change is told of once, whoever sees it */
    if (atomic_exchange_explicit(&the.n_waited, n, memory_order_relaxed) != n)
        (void)kill(getppid(), SIGCHLD);
}

/* Things that only system calls tell. A look after a task has those that come watched; one
 * for want of tasks does not: the next may be a while off, and if it made a call would pay
 * for a signal and gain nothing. */
static bool has_leftovers(const struct mui_lane_worker *lane, bool has_run)
{
    bool has;

    mui_arithmetic_restore();
    (void)mui_thread_altstack();
    if (has_grown(lane) || mui_limits_cpu_is_changed() || !bell_is_ours())
        return true;
    mui_crash_excuse(true);
    if (the.limits.sandbox & MU_SANDBOX_PURE) {
        has = the.limits.strict && is_changed(lane);
    } else {
        if (the.limits.strict)
            tell_of_orphans();
        has = has_orphans(lane) || is_changed(lane) || keeps_files(lane);
        if (!has && has_run)
            watch_calls();
    }
    mui_crash_excuse(false);
    return has;
}

static bool has_run_enough(void)
{
    /* relaxed: a count */
    return the.limits.recycle_tasks &&
           atomic_fetch_add_explicit(&the.n_tasks, 1, memory_order_relaxed) +
                   1 >=
               the.limits.recycle_tasks;
}

/* No lane is served before limits and sandbox are in place. Threads that serve
 * lanes come here before their first order. */
static __attribute__((noinline)) void await_up(void)
{
    /* acquire, pairs with mui_worker_up() */
    while (!atomic_load_explicit(&the.up, memory_order_acquire))
        (void)mui_futex_wait(&the.up, 0, 0, MU_NEVER);
}

/* Whether the kernel said that no task made a call that could have changed anything, and
 * is believed: of the looks that are due not each 64th time, for a task could have written
 * over what it is told by. */
static bool made_no_calls(bool is_due)
{
    enum { BELIEVED = 64 };

    return mui_calls_were_none() &&
           !(is_due && ++the.n_believed % BELIEVED == 0);
}

/* What there is to see without such calls: a stack grows without any. */
static bool has_changed_without(const struct mui_lane_worker *lane, bool is_due)
{
    return (is_due && the.limits.recycle_bytes && has_grown(lane)) ||
           is_changed_in_memory();
}

/* Who comes while another looks waits: what that finds is to end it before its next task,
 * too. And then looks itself, where it has run a task: as long as that ran, some of what
 * it changed was left out. */
static bool look_in_turn(struct mui_lane_worker *lane, bool has_run,
                         bool is_due)
{
    bool spent;

    (void)pthread_mutex_lock(&the.look_lock);
    if (atomic_load_explicit(&the.spent,
                             memory_order_relaxed)) /* by the lock */
        spent = true;
    else
        spent =
            (atomic_exchange_explicit(&the.ran, false, memory_order_acquire) ||
             has_run) &&
            (made_no_calls(is_due) ? has_changed_without(lane, is_due)
                                   : has_leftovers(lane, has_run));
    if (spent)
        end_all(lane);
    (void)pthread_mutex_unlock(&the.look_lock);
    return spent;
}

/* What is not asked after every task. Apart, for what it keeps on the stack. */
static __attribute__((noinline)) bool is_spent_now(struct mui_lane_worker *lane,
                                                   unsigned look)
{
    const bool has_run = look & MUI_LOOK_RAN;
    const bool is_due = look & MUI_LOOK_CLOSELY;
    bool spent;

    spent = has_run && has_run_enough();
    if (has_run && the.limits.cpu_ns)
        spent |= !mui_limits_renew_cpu(the.limits.cpu_ns);
    /* soon: who comes next may want all that a worker may have */
    if (!spent && look & MUI_LOOK_GLANCE && the.limits.memory_bytes)
        spent = has_grown(lane);
    if (!spent && (is_due || (has_run && the.limits.strict)))
        return look_in_turn(lane, has_run, is_due);
    if (spent)
        end_all(lane);
    return spent;
}

static bool is_spent(struct mui_lane_worker *lane, unsigned look)
{
    /* a child that a task forked, and that came back from it too */
    if (the.forked != mui_forked_since())
        mui_crash_leave_child();
    /* acquire: as there */
    if (!atomic_load_explicit(&the.up, memory_order_acquire))
        await_up();
    if (look & MUI_LOOK_RAN)
        /* release, pairs with the exchange above, perhaps another thread's: what the
         * task left is there to be seen */
        atomic_store_explicit(&the.ran, true, memory_order_release);
    /* seq_cst: between the announcement of a sleep and the sleep, see end_all() */
    if (atomic_load_explicit(&the.spent, memory_order_seq_cst))
        return true;
    /* of one that was here before it, perhaps: those behind it would fail, too */
    if (look & MUI_LOOK_RAN && mui_limits_lacked_files())
        look |= MUI_LOOK_CLOSELY;
    if (look == MUI_LOOK_RAN && !the.asks_after_each)
        return false;
    return look && is_spent_now(lane, look);
}

/* -- life -- */

int mui_worker_init(const struct mui_worker_setup *setup,
                    struct mui_lane_worker **ret_lanes)
{
    const struct mui_block_shape *shape = &setup->shape;
    struct mui_lane_worker *lanes;
    struct mui_block block;
    struct stat st;
    int rc = mui_block_join(shape, setup->down_fd, setup->up_fd, &block);

    if (rc < 0)
        return rc;
    /* a pool that a task opened: what its worker kept here came along with fork() */
    memset(&the, 0, sizeof the);
    (void)pthread_mutex_init(&the.look_lock, NULL);
    the.forked = mui_forked();
    the.block = block;
    the.shape = *shape;
    the.head = mui_block_head(&block);
    the.bell_fd = setup->bell_fd;
    the.board = setup->board;
    the.n_places = setup->n_places;
    the.place = setup->place;
    the.limits = setup->limits;
    the.asks_after_each =
        the.limits.strict || the.limits.cpu_ns || the.limits.recycle_tasks;
    if (!(the.limits.sandbox & MU_SANDBOX_PURE))
        mui_state_init();
    rc = mui_limits_init(&the.limits);
    if (rc < 0)
        return rc;
    if (fstat(the.bell_fd, &st) < 0)
        return -errno;
    the.bell_inode = st.st_ino;
    lanes = calloc(shape->n_lanes, sizeof *lanes);
    if (!lanes)
        return -ENOMEM;
    the.lanes = lanes;
    the.n_lanes = shape->n_lanes;
    for (unsigned i = 0; i < shape->n_lanes; i++) {
        struct mui_lane_memory memory = mui_block_lane(&block, shape, i);

        mui_lane_worker_init(&lanes[i], &memory);
        lanes[i].spin_ns = setup->spin_ns;
        lanes[i].ring = ring_lane;
        lanes[i].is_spent = is_spent;
    }
    (void)mui_thread_altstack();
    mui_crash_add_common(block.down, mui_block_down_bytes(shape));
    mui_crash_add_common(block.up, mui_block_up_bytes(shape));
    mui_crash_install(&(struct mui_crash_setup){.record = &the.head->crash,
                                                .ring = ring_last_words,
                                                .wake_next = wake_next,
                                                .is_attended = is_attended,
                                                .lanes = lanes,
                                                .lane_bytes = sizeof *lanes,
                                                .n_lanes = shape->n_lanes});
    *ret_lanes = lanes;
    return 0;
}

void mui_worker_warm_up(void)
{
    mui_block_populate(&the.block, &the.shape, false);
    mui_crash_rehearse();
}

static void announce(uint32_t stage)
{
    /* release, pairs with mui_peer_stage(): the reason comes before it */
    atomic_store_explicit(&the.head->stage, stage, memory_order_release);
    (void)ring();
}

/* What a worker keeps counts towards its limit: of that no task may leave more than
 * a quarter to those behind it, or malloc() would tell them what it did. */
static uint64_t may_grow(const struct mui_limits *limits)
{
    return limits->recycle_bytes ? limits->recycle_bytes
                                 : limits->memory_bytes / 4;
}

int mui_worker_up(bool is_pumped)
{
    int rc;

    the.is_pumped = is_pumped;
    rc = mui_limits_begin(&the.limits);
    if (rc < 0)
        return rc;
    the.may_grow_bytes = may_grow(&the.limits);
    if (the.may_grow_bytes)
        the.data_bytes = mui_limits_data_bytes();
    if (the.data_bytes == MUI_LIMITS_UNKNOWN)
        the.may_grow_bytes = 0;
    the.n_files = mui_census_files();
    the.n_threads = mui_census_threads();
    take_state(&the.state);
    rc = mui_sandbox_enter_pure(the.limits.sandbox);
    if (rc < 0)
        return rc;
    announce(MUI_STAGE_UP);
    /* release, pairs with await_up() */
    atomic_store_explicit(&the.up, 1, memory_order_release);
    mui_futex_wake(&the.up, INT_MAX, 0);
    return 0;
}

void mui_worker_moved(void)
{
    mui_state_take_thread(&the.state);
}

void mui_worker_failed(const struct mu_error *err)
{
    if (!the.head)
        return;
    /* relaxed: published by announce() */
    atomic_store_explicit(&the.head->rc, err->code, memory_order_relaxed);
    (void)snprintf(the.head->reason, sizeof the.head->reason, "%.239s",
                   err->text);
    announce(MUI_STAGE_FAILED);
}

void mui_worker_park(void)
{
    mui_board_park(the.board, the.place);
    /* relaxed: a hint */
    atomic_store_explicit(&the.head->awake, 1, memory_order_relaxed);
    mui_board_linger(the.board, the.place);
}
