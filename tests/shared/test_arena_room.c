/* test_arena_room.c: an arena in a /dev/shm that is full says so, and nobody is killed by
 * SIGBUS. Each test has a small one of its own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "muster/shared.h"

#include "support/check.h"
#include "support/refuse.h"

#define NAME   "room"
#define FILLER "/dev/shm/filler"

enum {
    SHM_BYTES = 512 << 10,
    ARENA_BYTES = 4 << 20, /* more than there is room for */
    BLOCK_BYTES = 20000,
    N_BLOCKS = ARENA_BYTES / BLOCK_BYTES
};

struct room {
    void (*fn)(void);
    int is_refused; /* who runs this may not mount */
};

static void run_in_room(void *arg)
{
    struct room *room = arg;
    char options[32];

    (void)snprintf(options, sizeof options, "size=%d", SHM_BYTES);
    if ((unshare(CLONE_NEWNS) < 0 &&
         unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, options) < 0)
        room->is_refused = 1;
    else
        room->fn();
}

static void run_or_skip(void (*fn)(void))
{
    struct room *room = test_shared(sizeof *room);
    int is_refused;

    room->fn = fn;
    assert_int_equal(test_wait(test_fork(run_in_room, room)), 0);
    is_refused = room->is_refused;
    munmap(room, sizeof *room);
    if (is_refused) {
        print_message("nothing may be mounted here\n");
        skip();
    }
}

/* Leave `bytes` of /dev/shm. */
static void fill_but(size_t bytes)
{
    int fd = open(FILLER, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK_CHILD(fd >= 0);
    CHECK_CHILD(fallocate(fd, 0, 0, (off_t)(SHM_BYTES - bytes)) == 0);
    (void)close(fd);
}

static size_t room_left(void)
{
    struct statvfs st;

    CHECK_CHILD(statvfs("/dev/shm", &st) == 0);
    return (size_t)st.f_bfree * st.f_bsize;
}

static int arena_make(struct mu_shared **ret)
{
    struct mu_shared_options how = {.name = NAME};
    struct mu_error err;
    int rc = mu_shared_new(ARENA_BYTES, &how, ret, &err);

    if (rc != 0)
        CHECK_CHILD(strstr(err.text, "/dev/shm") != NULL);
    return rc;
}

static void full_room_takes_no_arena(void)
{
    struct mu_shared *a;

    for (size_t n_pages = 0; n_pages < 2; n_pages++) {
        /* its head and its end need two */
        fill_but(n_pages * (size_t)sysconf(_SC_PAGESIZE));
        CHECK_CHILD(arena_make(&a) == -ENOSPC);
        CHECK_CHILD(mu_shared_open(NAME, &a, NULL) == -ENOENT);
    }
    CHECK_CHILD(unlink(FILLER) == 0);
    CHECK_CHILD(arena_make(&a) == 0);
    mu_shared_close(a);
}

static void arena_in_a_full_room_is_refused(void **state)
{
    (void)state;
    run_or_skip(full_room_takes_no_arena);
}

/* All that is given can be written. How many there were. */
static int blocks_take(struct mu_shared *a, char *blocks[N_BLOCKS])
{
    int n = 0;

    while (n < N_BLOCKS && (blocks[n] = mu_shared_alloc(a, BLOCK_BYTES))) {
        memset(blocks[n], n, BLOCK_BYTES);
        n++;
    }
    return n;
}

static void all_that_is_given_is_there(void)
{
    static char *blocks[N_BLOCKS];
    struct mu_shared *a;
    size_t left;
    size_t all;
    int n_few;
    int n;

    fill_but(SHM_BYTES / 2);
    CHECK_CHILD(arena_make(&a) == 0);
    all = mu_shared_available(a, NULL);
    left = room_left();
    CHECK_CHILD(mu_shared_alloc(a, SHM_BYTES) == NULL);
    /* what is refused takes nothing from others */
    CHECK_CHILD(room_left() == left);
    n_few = blocks_take(a, blocks);
    /* all but the last pages of the half that there is */
    CHECK_CHILD(n_few > SHM_BYTES / 2 / BLOCK_BYTES - 3);
    CHECK_CHILD(n_few < SHM_BYTES / BLOCK_BYTES);
    /* what there is goes on to be taken and given */
    CHECK_CHILD(mu_shared_free(a, blocks[0]) == 0);
    blocks[0] = mu_shared_alloc(a, BLOCK_BYTES);
    CHECK_CHILD(blocks[0] != NULL);
    for (int i = 0; i < n_few; i++)
        CHECK_CHILD(mu_shared_free(a, blocks[i]) == 0);
    CHECK_CHILD(mu_shared_available(a, NULL) == all);
    /* and when there is more room, more is given */
    CHECK_CHILD(unlink(FILLER) == 0);
    n = blocks_take(a, blocks);
    CHECK_CHILD(n > n_few && n < N_BLOCKS);
    mu_shared_close(a);
}

static void blocks_in_a_full_room_are_refused(void **state)
{
    (void)state;
    run_or_skip(all_that_is_given_is_there);
}

static void all_is_there_of_an_old_kernel(void)
{
    /* as before 5.14 */
    test_refuse_third(SYS_madvise, MADV_POPULATE_WRITE, EINVAL);
    all_that_is_given_is_there();
}

static void old_kernel_refuses_them_too(void **state)
{
    (void)state;
    run_or_skip(all_is_there_of_an_old_kernel);
}

/* A process that has the memory alone, and no descriptor of it, as tasks do. */
static void take_in_child(void *arg)
{
    static char *blocks[N_BLOCKS];
    struct mu_shared *a = arg;

    CHECK_CHILD(close(mu_shared_fd(a)) == 0);
    CHECK_CHILD(blocks_take(a, blocks) > 0);
}

static void all_is_there_without_a_descriptor(void)
{
    static char *blocks[N_BLOCKS];
    struct mu_shared *a;

    CHECK_CHILD(arena_make(&a) == 0);
    CHECK_CHILD(test_wait(test_fork(take_in_child, a)) == 0);
    /* nor does another take what is not there */
    CHECK_CHILD(mu_shared_alloc(a, SHM_BYTES) == NULL);
    CHECK_CHILD(blocks_take(a, blocks) < 3);
    mu_shared_close(a);
}

static void tasks_are_refused_them_too(void **state)
{
    (void)state;
    run_or_skip(all_is_there_without_a_descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_in_a_full_room_is_refused),
        cmocka_unit_test(blocks_in_a_full_room_are_refused),
        cmocka_unit_test(old_kernel_refuses_them_too),
        cmocka_unit_test(tasks_are_refused_them_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
