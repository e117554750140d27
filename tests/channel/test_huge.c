/* test_huge.c: one message of 1 GiB over each transport between two threads, where the
 * machine has the memory for it. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "muster/channel.h"

#include "support/check.h"

#define HUGE_BYTES MU_CHAN_MESSAGE_MAX
#define NEEDED_KB                                                              \
    (UINT64_C(5) << 20)   /* the message, its copies, their growth */
#define STEP         4093 /* of the bytes that are looked at */
#define HUGE_WAIT_NS INT64_C(200000000000)

static uint64_t available_kb(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kb = 0;
    char line[128];

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
            break;
    }
    if (f)
        (void)fclose(f);
    return kb;
}

static void *send_huge(void *arg)
{
    char *bytes = malloc(HUGE_BYTES);

    CHECK_CHILD(bytes != NULL);
    memset(bytes, 1, HUGE_BYTES);
    for (size_t i = 0; i < HUGE_BYTES; i += STEP)
        bytes[i] = (char)(i / STEP);
    CHECK_CHILD(
        mu_chan_send(arg, bytes, HUGE_BYTES, mu_after_ns(HUGE_WAIT_NS)) == 0);
    CHECK_CHILD(mu_chan_send(arg, bytes, HUGE_BYTES + 1, MU_NOW) == -EMSGSIZE);
    free(bytes);
    return NULL;
}

/* Whether `path` can hold so much besides what others need. */
static int disk_has_room(const char *path)
{
    struct statvfs fs;

    return statvfs(path, &fs) == 0 &&
           (uint64_t)fs.f_bavail * fs.f_frsize > 4 * HUGE_BYTES;
}

/* path   NULL, or the file behind the address: it needs no name once it is open */
static void huge_message_arrives_whole(const char *address, const char *path)
{
    struct mu_chan *ends[2];
    struct mu_chan_message m;
    pthread_t thread;

    if (available_kb() < NEEDED_KB) {
        print_message("skipped: %s: needs 5 GiB of free memory\n", address);
        skip();
    }
    assert_int_equal(mu_chan_pair(address, NULL, ends, NULL), 0);
    if (path)
        assert_int_equal(unlink(path), 0);
    assert_int_equal(pthread_create(&thread, NULL, send_huge, ends[0]), 0);
    assert_int_equal(mu_chan_borrow(ends[1], mu_after_ns(HUGE_WAIT_NS), &m), 0);
    assert_int_equal(m.size, HUGE_BYTES);
    for (size_t i = 0; i < HUGE_BYTES; i += STEP) {
        if (((const char *)m.data)[i] != (char)(i / STEP))
            fail_msg("%s: byte %zu", address, i);
    }
    mu_chan_release(ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

#define HUGE(name)                                                             \
    static void name##_carries_1_gib(void **state)                             \
    {                                                                          \
        (void)state;                                                           \
        huge_message_arrives_whole(#name ":", NULL);                           \
    }
HUGE(mem)
HUGE(shm)
HUGE(pipe)
HUGE(unix)
HUGE(tcp)
HUGE(mq)

static void file_carries_1_gib(void **state)
{
    char address[64];

    (void)state;
    if (!disk_has_room("/tmp")) {
        print_message("skipped: file: needs 4 GiB of free disk\n");
        skip();
    }
    (void)snprintf(address, sizeof address, "file:/tmp/muster-test-%d.log",
                   (int)getpid());
    huge_message_arrives_whole(address, address + strlen("file:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mem_carries_1_gib),
        cmocka_unit_test(shm_carries_1_gib),
        cmocka_unit_test(pipe_carries_1_gib),
        cmocka_unit_test(unix_carries_1_gib),
        cmocka_unit_test(tcp_carries_1_gib),
        cmocka_unit_test(mq_carries_1_gib),
        cmocka_unit_test(file_carries_1_gib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
