/* muster.c: our channels and locks.
 *   stream|lent TRANSPORT SIZE UNIT            messages one way, and one answer
 *   rtt TRANSPORT SIZE UNIT [awake|sleep] [thread]   round trips
 *   append SIZE UNIT [batch|disk]              a log
 *   mutex|reading|writing UNIT                 lock and unlock */
#include <muster/channel.h>
#include <muster/lock.h>

#include "common.h"

static struct mu_chan *ends[2];
static size_t size;
static char *bytes;

static void receive(void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    struct mu_chan_message m;

    for (uint64_t i = 0; i < n; i++) {
        if (size > 1024) { /* copied out, as a stream of a socket is */
            size_t got;

            need(mu_chan_recv(ends[1], bytes, size, MU_NEVER, &got) == 0,
                 "recv");
        } else {
            need(mu_chan_borrow(ends[1], MU_NEVER, &m) == 0, "borrow");
            memcpy(bytes, m.data, m.size);
            mu_chan_release(ends[1]);
        }
    }
    need(mu_chan_send(ends[1], "!", 1, MU_NEVER) == 0, "answer");
}

static void receive_lent(void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    struct mu_chan_message m;

    for (uint64_t i = 0; i < n; i++) {
        need(mu_chan_borrow(ends[1], MU_NEVER, &m) == 0, "borrow");
        mu_chan_release(ends[1]);
    }
    need(mu_chan_send(ends[1], "!", 1, MU_NEVER) == 0, "answer");
}

static void answer_take(void)
{
    char byte;
    size_t got;

    need(mu_chan_recv(ends[0], &byte, 1, MU_NEVER, &got) == 0, "answer");
}

static int stream(const char *unit, int is_lent)
{
    uint64_t n = is_lent ? 2000000 : n_stream(size);
    struct party p = {.fn = is_lent ? receive_lent : receive, .arg = &n};
    int64_t from;

    party_start(&p, 0);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        void *room;

        if (is_lent) {
            need(mu_chan_reserve(ends[0], size, MU_NEVER, &room) == 0,
                 "reserve");
            need(mu_chan_commit(ends[0], size) == 0, "commit");
        } else {
            need(mu_chan_send(ends[0], bytes, size, MU_NEVER) == 0, "send");
        }
    }
    answer_take();
    from = bench_now_ns() - from;
    party_wait(&p);
    return figure(unit, n, size, from);
}

static void echo(void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    struct mu_chan_message m;

    for (uint64_t i = 0; i < n; i++) {
        need(mu_chan_borrow(ends[1], MU_NEVER, &m) == 0, "borrow");
        need(mu_chan_send(ends[1], m.data, m.size, MU_NEVER) == 0, "echo");
        mu_chan_release(ends[1]);
    }
}

static int round_trips(const char *unit, uint64_t n, int as_thread)
{
    struct party p = {.fn = echo, .arg = &n};
    struct mu_chan_message m;
    int64_t from;

    party_start(&p, as_thread);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        need(mu_chan_send(ends[0], bytes, size, MU_NEVER) == 0, "send");
        need(mu_chan_borrow(ends[0], MU_NEVER, &m) == 0, "borrow");
        mu_chan_release(ends[0]);
    }
    from = bench_now_ns() - from;
    party_wait(&p);
    return figure(unit, n, size, from);
}

static void *append_some(void *arg)
{
    struct mu_chan_options options = {.sync = MU_CHAN_SYNC_DISK};
    struct mu_chan *c;
    char message[64] = {0};

    need(mu_chan_connect(arg, &options, MU_NOW, &c, NULL) == 0, "connect");
    for (int i = 0; i < 250; i++)
        need(mu_chan_send(c, message, sizeof message, MU_NEVER) == 0, "send");
    mu_chan_free(c);
    return NULL;
}

static int append(const char *unit, const char *how)
{
    struct mu_chan_bytes batch[100];
    char path[] = "bench-channel.log";
    char address[] = "file:bench-channel.log";
    pthread_t threads[4];
    struct mu_chan *c;
    uint64_t n = 2000000;
    int64_t from;
    size_t sent;

    (void)unlink(path);
    need(mu_chan_connect(address, NULL, MU_NOW, &c, NULL) == 0, "connect");
    for (int i = 0; i < 100; i++)
        batch[i] = (struct mu_chan_bytes){bytes, size};
    from = bench_now_ns();
    if (strcmp(how, "disk") == 0) {
        n = 1000;
        for (int i = 0; i < 4; i++)
            need(pthread_create(&threads[i], NULL, append_some, address) == 0,
                 "pthread_create");
        for (int i = 0; i < 4; i++)
            (void)pthread_join(threads[i], NULL);
    } else if (strcmp(how, "batch") == 0) {
        for (uint64_t i = 0; i < n; i += 100)
            need(mu_chan_send_batch(c, batch, 100, MU_NEVER, &sent) == 0,
                 "send_batch");
    } else {
        for (uint64_t i = 0; i < n; i++)
            need(mu_chan_send(c, bytes, size, MU_NEVER) == 0, "send");
    }
    from = bench_now_ns() - from;
    mu_chan_free(c);
    (void)unlink(path);
    return figure(unit, n, size, from);
}

static void mutex(void)
{
    static struct mu_mutex m;

    for (uint64_t i = 0; i < LOCK_PAIRS; i++) {
        need(mu_mutex_lock(&m, MU_NEVER) == 0, "lock");
        need(mu_mutex_unlock(&m) == 0, "unlock");
    }
}

static void reading(void)
{
    static struct mu_rwlock l;

    for (uint64_t i = 0; i < LOCK_PAIRS; i++) {
        need(mu_rwlock_read(&l, MU_NEVER) == 0, "read");
        need(mu_rwlock_read_unlock(&l) == 0, "unlock");
    }
}

static void writing(void)
{
    static struct mu_rwlock l;

    for (uint64_t i = 0; i < LOCK_PAIRS; i++) {
        need(mu_rwlock_write(&l, MU_NEVER) == 0, "write");
        need(mu_rwlock_write_unlock(&l) == 0, "unlock");
    }
}

int main(int argc, char **argv)
{
    const char *arg[6] = {"", "", "", "", "", ""};
    struct mu_chan_options options = {.ring_bytes = 0};
    uint64_t n;

    for (int i = 1; i < argc && i <= 6; i++)
        arg[i - 1] = argv[i];
    if (strcmp(arg[0], "mutex") == 0)
        return lock_laps(arg[1], mutex);
    if (strcmp(arg[0], "reading") == 0)
        return lock_laps(arg[1], reading);
    if (strcmp(arg[0], "writing") == 0)
        return lock_laps(arg[1], writing);
    size = (size_t)atol(arg[strcmp(arg[0], "append") == 0 ? 1 : 2]);
    bytes = calloc(1, size + 1);
    need(bytes != NULL, "calloc");
    memset(bytes, 7, size);
    if (strcmp(arg[0], "append") == 0)
        return append(arg[2], arg[3]);
    n = n_round_trips(size);
    if (strcmp(arg[4], "awake") == 0) {
        options.spin_ns = INT64_C(10000000000);
        n = 1000000;
    } else if (strcmp(arg[4], "sleep") == 0) {
        options.spin_ns = -1;
    } else if (strcmp(arg[1], "shm:") == 0 && size <= 8192) {
        n *=
            20; /* as Open MPI makes: the first lap of a ring is not the rest */
    }
    need(mu_chan_pair(arg[1], &options, ends, NULL) == 0, "pair");
    if (strcmp(arg[0], "rtt") == 0)
        return round_trips(arg[3], n, strcmp(arg[5], "thread") == 0);
    return stream(arg[3], strcmp(arg[0], "lent") == 0);
}
