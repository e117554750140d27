/* worker.c: the inside of a worker process.
 *
 * A worker that a task has changed in a way that outlives the task (threads or
 * children left behind, its bell closed) is spent: each of its lanes ends after the
 * order it has, and the process with the last of them. The supervisor puts another
 * in its place, which is cheap, instead of hoping. */
#include "process/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process/crash.h"
#include "sys/census.h"
#include "sys/thread.h"

static struct {
    struct mui_worker_head *head;
    int bell_fd;
    ino_t bell_inode; /* tells our bell from what a task put in its place */
    _Atomic unsigned n_threads; /* that belong here; 0: not known yet */
    _Atomic bool spent;
    _Atomic uint32_t n_mute; /* bells that could not be rung */
} the;

/* -- the bell -- */

static bool bell_is_ours(void)
{
    struct stat st;

    return fstat(the.bell_fd, &st) == 0 && st.st_ino == the.bell_inode &&
           S_ISSOCK(st.st_mode);
}

/* Signal-safe. False: the bell is gone. */
static bool ring(void)
{
    int saved = errno;
    bool ours = bell_is_ours();

    /* full means that it rings already */
    if (ours)
        (void)send(the.bell_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    errno = saved;
    return ours;
}

static void ring_last_words(void)
{
    (void)ring();
}

static void ring_lane(struct mui_lane_worker *lane, uint32_t why)
{
    (void)lane;
    (void)why;
    if (ring())
        return;
    /* The supervisor cannot hear us. The next pause ends this process, which it
     * does notice; but a lane that has to wait for it now ends it at once. */
    atomic_store_explicit(&the.spent, true, memory_order_release);
    if (atomic_fetch_add_explicit(&the.n_mute, 1, memory_order_relaxed) == 0)
        return;
    mui_crash_retire();
    _exit(0);
}

/* -- leftovers -- */

static bool is_spent(struct mui_lane_worker *lane, bool look)
{
    /* relaxed: it carries nothing but itself */
    unsigned n_threads =
        atomic_load_explicit(&the.n_threads, memory_order_relaxed);

    (void)lane;
    /* acquire: pairs with the stores, for the sake of what follows an end */
    if (atomic_load_explicit(&the.spent, memory_order_acquire))
        return true;
    if (!look || n_threads == 0 ||
        (mui_census_threads() <= n_threads && !mui_census_has_children()))
        return false;
    atomic_store_explicit(&the.spent, true, memory_order_release);
    return true;
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
    the.head = mui_block_head(&block);
    the.bell_fd = setup->bell_fd;
    if (fstat(the.bell_fd, &st) < 0)
        return -errno;
    the.bell_inode = st.st_ino;
    lanes = calloc(shape->n_lanes, sizeof *lanes);
    if (!lanes)
        return -ENOMEM;
    for (unsigned i = 0; i < shape->n_lanes; i++) {
        mui_lane_worker_init(&lanes[i], mui_block_lane_down(&block, shape, i),
                             mui_block_lane_up(&block, shape, i),
                             mui_block_region(&block, shape, i),
                             shape->region_bytes, shape->n_slots, true);
        lanes[i].spin_ns = setup->spin_ns;
        lanes[i].ring = ring_lane;
        lanes[i].is_spent = is_spent;
    }
    (void)mui_thread_altstack();
    mui_crash_install(&(struct mui_crash_setup){.record = &the.head->crash,
                                                .ring = ring_last_words,
                                                .lanes = lanes,
                                                .lane_bytes = sizeof *lanes,
                                                .n_lanes = shape->n_lanes});
    *ret_lanes = lanes;
    return 0;
}

/* Private memory now, from /proc/self/statm: "size resident shared text lib data". */
static uint64_t data_bytes_now(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (!file)
        return 0;
    if (fscanf(file, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
        pages = 0;
    (void)fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What it has now it does not owe to a task. */
static void limit_memory(uint64_t bytes)
{
    uint64_t now = data_bytes_now();
    struct rlimit limit;

    if (getrlimit(RLIMIT_DATA, &limit) < 0 || bytes > limit.rlim_max ||
        now > limit.rlim_max - bytes)
        return;
    limit.rlim_cur = now + bytes;
    limit.rlim_max = now + bytes;
    if (setrlimit(RLIMIT_DATA, &limit) == 0)
        mui_crash_set_memory(now + bytes, bytes);
}

static void announce(uint32_t stage)
{
    /* release, pairs with mui_peer_stage(): the reason comes before it */
    atomic_store_explicit(&the.head->stage, stage, memory_order_release);
    (void)ring();
}

void mui_worker_up(uint64_t memory_bytes)
{
    atomic_store_explicit(&the.n_threads, mui_census_threads(),
                          memory_order_relaxed);
    if (memory_bytes)
        limit_memory(memory_bytes);
    announce(MUI_STAGE_UP);
}

void mui_worker_failed(const struct mu_error *err)
{
    if (!the.head)
        return;
    the.head->rc = err->code;
    (void)snprintf(the.head->reason, sizeof the.head->reason, "%.239s",
                   err->text);
    announce(MUI_STAGE_FAILED);
}

void mui_worker_retire(void)
{
    mui_crash_retire();
}
