/* test_file.c: the suite of channels over an append-only log. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel/channel.h"

static char log_path[64];
static char log_address[80];

static void log_begin(void)
{
    (void)snprintf(log_path, sizeof log_path, "/tmp/muster-test-%d.log",
                   (int)getpid());
    (void)snprintf(log_address, sizeof log_address, "file:%s", log_path);
    (void)unlink(log_path);
}

static void log_end(void)
{
    (void)unlink(log_path);
}

#define SUITE_ADDRESS   log_address
#define SUITE_CAPS      (SUITE_PROCESS | SUITE_FD)
#define SUITE_TOO_LARGE (-EMSGSIZE) /* it stays in the log */
#define SUITE_BEFORE()  log_begin()
#define SUITE_AFTER()   log_end()

static uint64_t next_random(uint64_t *seed);

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    char bytes[300];
    int fd = open(log_path, O_RDWR | O_CLOEXEC);

    for (int i = 0; i < 5; i++)
        (void)!mu_chan_send(from, bytes, next_random(seed) % 100, MU_NOW);
    for (int i = 0; i < 20; i++) {
        uint64_t word = (next_random(seed) % 200) << 8 | 0x4d;

        if (next_random(seed) % 4 == 0)
            word = next_random(seed) << 8 | 0x4d;
        if (pwrite(fd, &word, sizeof word,
                   (off_t)(4096 + next_random(seed) % 100 * 8)) < 0)
            break;
    }
    (void)close(fd);
}

#include "channel/suite.h"
