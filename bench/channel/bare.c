/* bare.c: the same works by nothing but the system calls or instructions that they
 * come down to: the floors.
 *   line UNIT                     a cache line to and fro
 *   futex UNIT                    the same with a sleep each way
 *   memcpy SIZE UNIT              a copy
 *   exchange UNIT                 two uncontended atomic exchanges
 *   pthread UNIT                  pthread_mutex_lock and unlock
 *   reading|writing UNIT          pthread_rwlock_rdlock or wrlock, and unlock
 *   pipe|unix|tcp|mq SIZE UNIT    round trips
 *   fdatasync SIZE UNIT           a write and an fdatasync each */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common.h"

static struct {
    _Alignas(64) _Atomic uint32_t turn;
} * line;
static uint64_t n;

static void line_bounce(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= n; i++) {
        while (atomic_load_explicit(&line->turn, memory_order_acquire) !=
               2 * i - 1)
            ;
        atomic_store_explicit(&line->turn, 2 * i, memory_order_release);
    }
}

static int line_main(const char *unit)
{
    struct party p = {.fn = line_bounce};
    int64_t from;

    n = 1000000;
    party_start(&p, 0);
    from = bench_now_ns();
    for (uint32_t i = 1; i <= n; i++) {
        atomic_store_explicit(&line->turn, 2 * i - 1, memory_order_release);
        while (atomic_load_explicit(&line->turn, memory_order_acquire) != 2 * i)
            ;
    }
    from = bench_now_ns() - from;
    party_wait(&p);
    return figure(unit, n, 0, from);
}

static void futex_pass(uint32_t to)
{
    atomic_store_explicit(&line->turn, to, memory_order_release);
    (void)syscall(SYS_futex, &line->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_await(uint32_t turn)
{
    uint32_t seen;

    while ((seen = atomic_load_explicit(&line->turn, memory_order_acquire)) !=
           turn)
        (void)syscall(SYS_futex, &line->turn, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void futex_bounce(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= n; i++) {
        futex_await(2 * i - 1);
        futex_pass(2 * i);
    }
}

static int futex_main(const char *unit)
{
    struct party p = {.fn = futex_bounce};
    int64_t from;

    n = n_round_trips(64);
    party_start(&p, 0);
    from = bench_now_ns();
    for (uint32_t i = 1; i <= n; i++) {
        futex_pass(2 * i - 1);
        futex_await(2 * i);
    }
    from = bench_now_ns() - from;
    party_wait(&p);
    return figure(unit, n, 0, from);
}

static int memcpy_main(size_t size, const char *unit)
{
    uint64_t n_copies = n_stream(size);
    char *from_bytes = malloc(size);
    char *to_bytes = malloc(size);
    int64_t from;

    need(from_bytes && to_bytes, "malloc");
    memset(from_bytes, 1, size);
    memset(to_bytes, 2, size);
    bind_to(1);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n_copies; i++) {
        memcpy(to_bytes, from_bytes, size);
        __asm__ volatile("" ::"r"(to_bytes) : "memory");
    }
    return figure(unit, n_copies, size, bench_now_ns() - from);
}

static void exchange_pairs(void)
{
    for (uint64_t i = 0; i < LOCK_PAIRS; i++) {
        (void)atomic_exchange_explicit(&line->turn, 1, memory_order_acquire);
        (void)atomic_exchange_explicit(&line->turn, 0, memory_order_release);
    }
}

static void pthread_pairs(void)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

    for (uint64_t i = 0; i < LOCK_PAIRS; i++) {
        (void)pthread_mutex_lock(&m);
        (void)pthread_mutex_unlock(&m);
    }
}

static void pthread_reading(void)
{
    static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;

    for (uint64_t i = 0; i < LOCK_PAIRS; i++) {
        (void)pthread_rwlock_rdlock(&l);
        (void)pthread_rwlock_unlock(&l);
    }
}

static void pthread_writing(void)
{
    static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;

    for (uint64_t i = 0; i < LOCK_PAIRS; i++) {
        (void)pthread_rwlock_wrlock(&l);
        (void)pthread_rwlock_unlock(&l);
    }
}

/* ---- descriptors ------------------------------------------------------------ */

static int fds[2][2]; /* of party 0 and 1: to write to, to read from */
static size_t size;
static char *bytes;
static size_t piece; /* most bytes of one call; 0: as they come */
static int is_queue;

static void put(int fd)
{
    for (size_t at = 0; at < size;) {
        size_t m = piece && size - at > piece ? piece : size - at;
        ssize_t rc = is_queue
                         ? mq_send(fd, bytes + at, m, 0) == 0 ? (ssize_t)m : -1
                         : write(fd, bytes + at, m);

        need(rc > 0, "write");
        at += (size_t)rc;
    }
}

static void get(int fd)
{
    for (size_t at = 0; at < size;) {
        size_t room = is_queue ? piece : size - at;
        ssize_t rc = is_queue ? mq_receive(fd, bytes + at, room, NULL)
                              : read(fd, bytes + at, room);

        need(rc > 0, "read");
        at += (size_t)rc;
    }
}

static void fd_echo(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < n; i++) {
        get(fds[1][1]);
        put(fds[1][0]);
    }
}

static int fd_main(const char *unit)
{
    struct party p = {.fn = fd_echo};
    int64_t from;

    n = n_round_trips(size);
    bytes = calloc(1, size + 8192);
    need(bytes != NULL, "calloc");
    party_start(&p, 0);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        put(fds[0][0]);
        get(fds[0][1]);
    }
    from = bench_now_ns() - from;
    party_wait(&p);
    return figure(unit, n, size, from);
}

static void pipe_open(void)
{
    int there[2];
    int back[2];

    need(pipe(there) == 0 && pipe(back) == 0, "pipe");
    fds[0][0] = there[1];
    fds[1][1] = there[0];
    fds[1][0] = back[1];
    fds[0][1] = back[0];
}

static void sock_use(int a, int b)
{
    fds[0][0] = fds[0][1] = a;
    fds[1][0] = fds[1][1] = b;
}

static void unix_open(void)
{
    int buffer = 512 << 10; /* as ours */
    int s[2];

    need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0, "socketpair");
    for (int i = 0; i < 2; i++)
        (void)setsockopt(s[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    piece = (size_t)96 << 10; /* as ours; a packet cannot hold 1 MiB */
    sock_use(s[0], s[1]);
}

static void tcp_open(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_size = sizeof at;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    int a = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    int b;

    need(bind(l, (struct sockaddr *)&at, sizeof at) == 0 && listen(l, 1) == 0 &&
             getsockname(l, (struct sockaddr *)&at, &at_size) == 0 &&
             connect(a, (struct sockaddr *)&at, sizeof at) == 0,
         "connect");
    b = accept(l, NULL, NULL);
    (void)setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sock_use(a, b);
}

static void mq_open_both(void)
{
    char name[64];

    for (int i = 0; i < 2; i++) {
        (void)snprintf(name, sizeof name, "/bench-channel-%d-%d", (int)getpid(),
                       i);
        fds[i][0] = mq_open(name, O_WRONLY | O_CREAT | O_EXCL, 0600, NULL);
        fds[1 - i][1] = mq_open(name, O_RDONLY);
        need(fds[i][0] >= 0 && fds[1 - i][1] >= 0, "mq_open");
        (void)mq_unlink(name);
    }
    is_queue = 1;
    piece = 8192;
}

static int fdatasync_main(const char *unit)
{
    int fd = open("bench-channel.raw", O_RDWR | O_CREAT | O_TRUNC, 0600);
    uint64_t n_writes = 250;
    int64_t from = bench_now_ns();

    bytes = calloc(1, size);
    for (uint64_t i = 0; i < n_writes; i++)
        need(write(fd, bytes, size) == (ssize_t)size && fdatasync(fd) == 0,
             "write");
    from = bench_now_ns() - from;
    (void)unlink("bench-channel.raw");
    return figure(unit, n_writes, size, from);
}

int main(int argc, char **argv)
{
    const char *work = argc > 1 ? argv[1] : "";
    const char *unit = argc > 1 ? argv[argc - 1] : "";

    size = argc > 3 ? (size_t)atol(argv[2]) : 0;
    line = shared_memory(4096);
    if (strcmp(work, "line") == 0)
        return line_main(unit);
    if (strcmp(work, "futex") == 0)
        return futex_main(unit);
    if (strcmp(work, "memcpy") == 0)
        return memcpy_main(size, unit);
    if (strcmp(work, "exchange") == 0)
        return lock_laps(unit, exchange_pairs);
    if (strcmp(work, "pthread") == 0)
        return lock_laps(unit, pthread_pairs);
    if (strcmp(work, "reading") == 0)
        return lock_laps(unit, pthread_reading);
    if (strcmp(work, "writing") == 0)
        return lock_laps(unit, pthread_writing);
    if (strcmp(work, "fdatasync") == 0)
        return fdatasync_main(unit);
    if (strcmp(work, "pipe") == 0)
        pipe_open();
    else if (strcmp(work, "unix") == 0)
        unix_open();
    else if (strcmp(work, "tcp") == 0)
        tcp_open();
    else if (strcmp(work, "mq") == 0)
        mq_open_both();
    else
        return 2;
    return fd_main(unit);
}
