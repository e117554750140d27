/* file.c: an append-only log.
 *
 *     |page: struct log_page|record|record|...|0
 *     record: |size, kind: 8 bytes|checksum: 4|0: 4|payload|zeros to 8|
 *
 * Who appends holds the log's mutex, which lies in its first page, writes the payload
 * and a 0 where the next record will begin, and then the word that makes the record be
 * there. Readers go by those words and need no lock: each has its own position.
 *
 *       writer                               reader
 *   W1  store word (release) ------------->  pread of the word, then of the payload
 *
 * The reader copies through the page cache and so cannot acquire; the checksum, which
 * covers position, size and payload, decides instead, and one that fails is read once
 * more before it counts as damage.
 *
 * What survives. Small records are stored into a mapping of the file, large ones
 * written: either way the page cache has them when the call returns, so kill -9 of any
 * process loses nothing that was acknowledged. With MU_CHAN_SYNC_DISK a sender
 * also waits for the disk; one fdatasync() serves all who wait (sync_wait).
 *
 * Killed at any instruction while appending: before W1 the record is absent; the next
 * holder of the mutex gets MU_OWNER_DIED and moves the tail behind the records that are
 * whole. After a loss of power the first to open, which no other has open (flock), looks
 * through the records behind the last known durable one. Whole is what has its checksum,
 * whatever the opener's own limit; what is torn behind that, the first to append cuts
 * off: who only reads takes nothing away.
 *
 * The file grows ahead of its records by fallocate(), so that a full disk is an error
 * and no signal. Whoever may write the file can damage it, or crash its writers by
 * cutting it short; its permissions are the guard, and readers check what they read. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/lock.h"

#include "base/error.h"
#include "channel/channel.h"
#include "channel/wait.h"
#include "shared/sleep.h"
#include "sys/crc32c.h"
#include "sys/futex.h"

#define LOG_MAGIC     UINT64_C(0x676f6c756d0001) /* "mulog", version 1 */
#define LOG_BEGIN     UINT64_C(4096)
#define LOG_GROW      UINT64_C(16777216) /* allocated ahead, and mapped at once */
#define LARGE_BYTES   ((size_t)65536)    /* from here on written, not stored */
#define READ_BYTES    ((size_t)262144)
#define RECORD_HEADER 16
#define KIND_DATA     UINT64_C(0x4d)
#define OPEN_TRIES    100

/* Who is to be told of the next record. */
enum log_waiting {
    LOG_ASLEEP = 1, /* on `event` */
    LOG_WATCHED = 2 /* with inotify: by a change of the file's times */
};

/* The first page. Under `lock`: tail. Others by atomics. */
struct log_page {
    uint64_t magic;
    struct mu_mutex lock;
    struct mu_mutex sync_lock;  /* who holds it calls fdatasync() */
    _Atomic uint64_t tail;      /* the next record begins here */
    _Atomic uint64_t durable;   /* the disk has all before */
    _Atomic uint64_t allocated; /* bytes of the file */
    _Atomic uint32_t event;     /* changes with every record */
    _Atomic uint32_t
        waiting; /* enum log_waiting, by readers; writers clear it */
    _Atomic uint32_t is_torn; /* what lies behind the tail is to be cut off */
};

struct log_header {
    uint64_t word; /* size << 8 | KIND_DATA */
    uint32_t checksum;
    uint32_t zero;
};
_Static_assert(sizeof(struct log_header) == RECORD_HEADER, "no padding");

struct file_state {
    int fd; /* 0: none */
    struct log_page *page;
    /* sender's */
    char *window; /* a mapping of LOG_GROW * 2 bytes from window_at */
    uint64_t window_at;
    /* both */
    uint64_t position;
    /* receiver's */
    int watch_fd;         /* above 0: made by file_fd() */
    struct mui_buffer in; /* bytes of the file from in_at */
    uint64_t in_at;
    size_t in_size;
    size_t lent;
};

static struct file_state *file_state(const struct mu_chan *c)
{
    return (struct file_state *)(void *)(uintptr_t)c->state;
}

static uint64_t record_bytes(size_t size)
{
    return RECORD_HEADER + (size + 7) / 8 * 8;
}

static uint32_t record_checksum(uint64_t position, uint64_t word,
                                const void *payload, size_t size)
{
    uint64_t head[2] = {position, word};

    return mui_crc32c(mui_crc32c(0, head, sizeof head), payload, size);
}

/* ---- opening and recovery --------------------------------------------------- */

/* The size in a record's word; -1: there is no record. */
static int64_t word_size(uint64_t word)
{
    uint64_t size = word >> 8;

    if ((word & 0xff) != KIND_DATA || size > MU_CHAN_MESSAGE_MAX)
        return -1;
    return (int64_t)size;
}

/* Read bytes of the file. 1: all; 0: it ends before; -errno. */
static int all_pread(int fd, void *bytes, size_t size, uint64_t at)
{
    char *to = bytes;

    while (size > 0) {
        ssize_t n = pread(fd, to, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        to += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 1;
}

/* The length of the whole record at `at`; 0: there is none; -errno: nobody knows.
 * Needs `in`. */
static int64_t record_check(struct file_state *s, uint64_t at)
{
    struct log_header h;
    struct stat st;
    int64_t size;
    int rc = all_pread(s->fd, &h, sizeof h, at);

    if (rc <= 0)
        return rc;
    size = word_size(h.word);
    if (size < 0)
        return 0;
    /* the file has to have what the word promises before memory is taken */
    if (fstat(s->fd, &st) < 0)
        return -errno;
    if (at + RECORD_HEADER + (uint64_t)size > (uint64_t)st.st_size)
        return 0;
    s->in_size = 0;
    rc = mui_buffer_grow(&s->in, (size_t)size + 1);
    if (rc != 0)
        return rc;
    rc = all_pread(s->fd, s->in.data, (size_t)size, at + RECORD_HEADER);
    if (rc <= 0)
        return rc;
    if (record_checksum(at, h.word, s->in.data, (size_t)size) != h.checksum)
        return 0;
    return (int64_t)record_bytes((size_t)size);
}

/* Move the tail behind the last whole record after `from`. */
static int tail_find(struct file_state *s, uint64_t from)
{
    int64_t n;

    while ((n = record_check(s, from)) > 0)
        from += (uint64_t)n;
    if (n < 0)
        return (int)n;
    atomic_store_explicit(&s->page->tail, from, memory_order_release);
    return 0;
}

/* Behind the tail all is to be 0: the file is cut there and grows anew. Under the lock.
 * relaxed, all: who is killed in here leaves `is_torn`, and the next does it again. */
static int tail_cut(struct file_state *s)
{
    struct log_page *page = s->page;
    uint64_t tail = atomic_load_explicit(&page->tail, memory_order_relaxed);
    int rc = tail_find(s, tail);

    if (rc != 0)
        return rc;
    tail = atomic_load_explicit(&page->tail, memory_order_relaxed);
    if (ftruncate(s->fd, (off_t)tail) < 0)
        return -errno;
    atomic_store_explicit(&page->allocated, tail, memory_order_relaxed);
    atomic_store_explicit(&page->is_torn, 0, memory_order_relaxed);
    return 0;
}

/* Nobody else has it open: see that it is whole, or new. */
static int log_recover(struct mu_chan *c)
{
    struct file_state *s = file_state(c);
    struct log_page page = {.magic = 0};
    struct stat st;
    uint64_t durable;
    int rc;

    if (fstat(s->fd, &st) < 0 || pread(s->fd, &page, sizeof page, 0) < 0)
        return -errno;
    if (st.st_size != 0 && page.magic != 0 && page.magic != LOG_MAGIC)
        return MU_ECORRUPT;
    if (st.st_size < (off_t)LOG_BEGIN || page.magic == 0) {
        page = (struct log_page){
            .magic = 0, .tail = LOG_BEGIN, .durable = LOG_BEGIN};
        if (ftruncate(s->fd, 0) < 0 || ftruncate(s->fd, (off_t)LOG_BEGIN) < 0)
            return -errno;
    }
    s->page =
        mmap(NULL, LOG_BEGIN, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (s->page == MAP_FAILED) {
        s->page = NULL;
        return -errno;
    }
    /* relaxed, all: nobody else has it open */
    durable = atomic_load_explicit(&page.durable, memory_order_relaxed);
    atomic_store_explicit(&s->page->durable, durable, memory_order_relaxed);
    s->page->lock.word = s->page->sync_lock.word = 0;
    atomic_store_explicit(&s->page->waiting, 0, memory_order_relaxed);
    rc = tail_find(s, durable >= LOG_BEGIN && durable % 8 == 0 ? durable
                                                               : LOG_BEGIN);
    if (rc != 0)
        return rc;
    atomic_store_explicit(&s->page->is_torn, 1, memory_order_relaxed);
    s->page->magic = LOG_MAGIC;
    return 0;
}

/* Map the first page of a log that others have open too. MU_EMPTY: not there yet. */
static int log_join(struct mu_chan *c)
{
    struct file_state *s = file_state(c);
    struct stat st;

    if (fstat(s->fd, &st) < 0)
        return -errno;
    if (st.st_size < (off_t)LOG_BEGIN)
        return MU_EMPTY;
    if (!s->page) {
        s->page =
            mmap(NULL, LOG_BEGIN, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
        if (s->page == MAP_FAILED) {
            s->page = NULL;
            return -errno;
        }
    }
    if (s->page->magic == 0)
        return MU_EMPTY;
    return s->page->magic == LOG_MAGIC ? 0 : MU_ECORRUPT;
}

static int log_open(struct mu_chan *c, const char *path, struct mu_error *err)
{
    struct file_state *s = file_state(c);
    int rc = MU_EMPTY;

    if (*path == '\0')
        return mui_fail(err, -EINVAL, "file: it needs a path");
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0) {
        rc = mui_fail(err, -errno, "file: open %s", path);
        s->fd = 0;
        return rc;
    }
    for (int i = 0; i < OPEN_TRIES && rc == MU_EMPTY; i++) {
        if (flock(s->fd, LOCK_EX | LOCK_NB) == 0) {
            rc = log_recover(c);
            if (flock(s->fd, LOCK_SH) < 0 && rc == 0)
                rc = -errno;
        } else if (flock(s->fd, LOCK_SH) < 0) {
            rc = -errno;
        } else {
            rc = log_join(c);
        }
    }
    if (rc == MU_EMPTY)
        rc = MU_ECORRUPT;
    return rc == 0 ? 0 : mui_fail(err, rc, "file: open %s", path);
}

static int file_open(struct mu_chan *c, const char *rest, struct mu_error *err)
{
    int rc = log_open(c, rest, err);

    if (rc != 0)
        return rc;
    file_state(c)->position =
        c->options.position ? c->options.position : LOG_BEGIN;
    if (file_state(c)->position < LOG_BEGIN || file_state(c)->position % 8 != 0)
        return mui_fail(err, -EINVAL, "file: the position");
    c->can_recv = true;
    return 0;
}

static int file_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                        struct mu_error *err)
{
    int rc = log_open(c, rest, err);

    (void)deadline;
    c->can_send = rc == 0;
    return rc;
}

static int file_pair(struct mu_chan *a, struct mu_chan *b, const char *rest,
                     struct mu_error *err)
{
    int rc = file_connect(a, rest, MU_NEVER, err);

    return rc == 0 ? file_open(b, rest, err) : rc;
}

/* ---- sending ---------------------------------------------------------------- */

/* Take the log's mutex, and put right what a dead holder left. */
static int log_lock(struct mu_chan *c, int64_t deadline)
{
    struct file_state *s = file_state(c);
    struct log_page *page = s->page;
    int rc = mu_mutex_lock(&page->lock, deadline);

    if (rc == MU_OWNER_DIED) {
        /* relaxed, both: under the lock */
        atomic_store_explicit(&page->is_torn, 1, memory_order_relaxed);
        rc = 0;
    }
    if (rc == 0 && atomic_load_explicit(&page->is_torn, memory_order_relaxed)) {
        rc = tail_cut(s);
        if (rc != 0)
            (void)mu_mutex_unlock(&page->lock);
    }
    return rc;
}

/* Have the file reach `end`, and what follows it. Under the lock. */
static int log_grow(struct file_state *s, uint64_t end)
{
    uint64_t have =
        atomic_load_explicit(&s->page->allocated, memory_order_relaxed);
    uint64_t want;
    int rc;

    if (end <= have)
        return 0;
    want = (end + LOG_GROW) / LOG_GROW * LOG_GROW;
    do
        rc = posix_fallocate(s->fd, (off_t)have, (off_t)(want - have));
    while (rc == EINTR);
    if (rc != 0)
        return -rc;
    atomic_store_explicit(&s->page->allocated, want, memory_order_relaxed);
    return 0;
}

/* Where a range of less than LOG_GROW bytes is mapped. Under the lock. */
static char *window_at(struct file_state *s, uint64_t from, uint64_t end)
{
    if (!s->window || from < s->window_at ||
        end > s->window_at + 2 * LOG_GROW) {
        uint64_t at = from / LOG_GROW * LOG_GROW;
        void *window = mmap(NULL, 2 * LOG_GROW, PROT_READ | PROT_WRITE,
                            MAP_SHARED, s->fd, (off_t)at);

        if (window == MAP_FAILED)
            return NULL;
        if (s->window)
            (void)munmap(s->window, 2 * LOG_GROW);
        s->window = window;
        s->window_at = at;
    }
    return s->window + (from - s->window_at);
}

static int all_pwrite(int fd, const void *bytes, size_t size, uint64_t at)
{
    const char *from = bytes;

    while (size > 0) {
        ssize_t n = pwrite(fd, from, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* Write one record at the tail. Under the lock. */
static int record_append(struct file_state *s, const void *bytes, size_t size)
{
    uint64_t at = atomic_load_explicit(&s->page->tail, memory_order_relaxed);
    uint64_t next = at + record_bytes(size);
    uint64_t word = (uint64_t)size << 8 | KIND_DATA;
    struct log_header *h;
    int rc = log_grow(s, next + RECORD_HEADER);

    if (rc != 0)
        return rc;
    if (size >= LARGE_BYTES) {
        rc = all_pwrite(s->fd, bytes, size, at + RECORD_HEADER);
        if (rc != 0)
            return rc;
    }
    h = (struct log_header *)(void *)window_at(
        s, at, size < LARGE_BYTES ? next + RECORD_HEADER : at + RECORD_HEADER);
    if (!h)
        return -ENOMEM;
    if (size < LARGE_BYTES) {
        if (size > 0)
            memcpy(h + 1, bytes, size);
        memset((char *)(h + 1) + size, 0,
               (size_t)(next - at) - RECORD_HEADER - size + sizeof h->word);
    } else {
        static const uint64_t zeros[2];

        rc = all_pwrite(s->fd, zeros,
                        (size_t)(next - at) - RECORD_HEADER - size + 8,
                        at + RECORD_HEADER + size);
        if (rc != 0)
            return rc;
    }
    h->checksum = record_checksum(at, word, bytes, size);
    h->zero = 0;
    /* W1, read by record_load() */
    atomic_store_explicit((_Atomic uint64_t *)&h->word, word,
                          memory_order_release);
    atomic_store_explicit(&s->page->tail, next, memory_order_release);
    return 0;
}

/* Tell waiting readers. seq_cst: their `waiting`, then their look at `event`, or our
 * change of `event`, then our look at `waiting`: one sees the other. */
static void readers_wake(struct file_state *s)
{
    struct log_page *page = s->page;
    uint32_t waiting;

    (void)atomic_fetch_add_explicit(&page->event, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&page->waiting, memory_order_seq_cst) == 0)
        return;
    waiting = atomic_exchange_explicit(&page->waiting, 0, memory_order_relaxed);
    if (waiting & LOG_ASLEEP)
        (void)mui_futex_wake(&page->event, INT_MAX, 1);
    if (waiting & LOG_WATCHED)
        (void)futimens(s->fd, NULL); /* stores into a mapping are not noticed */
}

/* Wait until the disk has all before `end`. Who gets the mutex writes for all that
 * wait: they find it done when their turn comes. */
static int sync_wait(struct file_state *s, uint64_t end, int64_t deadline)
{
    struct log_page *page = s->page;
    uint64_t tail;
    int rc;

    /* acquire: pairs with the store below */
    if (atomic_load_explicit(&page->durable, memory_order_acquire) >= end)
        return 0;
    rc = mu_mutex_lock(&page->sync_lock, deadline);
    if (rc != 0 && rc != MU_OWNER_DIED)
        return rc;
    rc = 0;
    if (atomic_load_explicit(&page->durable, memory_order_acquire) < end) {
        tail = atomic_load_explicit(&page->tail, memory_order_acquire);
        rc = fdatasync(s->fd) < 0 ? -errno : 0;
        if (rc == 0)
            atomic_store_explicit(&page->durable, tail, memory_order_release);
    }
    (void)mu_mutex_unlock(&page->sync_lock);
    return rc;
}

static int file_send_batch(struct mu_chan *c,
                           const struct mu_chan_bytes *messages, size_t n,
                           int64_t deadline, size_t *ret_n)
{
    struct file_state *s = file_state(c);
    size_t n_done = 0;
    int rc = log_lock(c, deadline);

    if (rc != 0)
        return rc;
    while (n_done < n && rc == 0) {
        rc = record_append(s, messages[n_done].data, messages[n_done].size);
        n_done += rc == 0;
    }
    s->position = atomic_load_explicit(&s->page->tail, memory_order_relaxed);
    (void)mu_mutex_unlock(&s->page->lock);
    if (n_done > 0)
        readers_wake(s);
    *ret_n = n_done;
    if (rc == 0 && c->options.sync == MU_CHAN_SYNC_DISK)
        rc = sync_wait(s, s->position, MU_NEVER);
    return rc;
}

static int file_send(struct mu_chan *c, const void *bytes, size_t size,
                     unsigned priority, int64_t deadline)
{
    struct mu_chan_bytes one = {.data = bytes, .size = size};
    size_t n;

    if (priority != 0)
        return -EOPNOTSUPP;
    return file_send_batch(c, &one, 1, deadline, &n);
}

/* ---- receiving -------------------------------------------------------------- */

/* Have [position, position + size) in the buffer. 0; MU_EMPTY: the file ends. */
static int bytes_load(struct file_state *s, size_t size, bool again)
{
    size_t want = size > READ_BYTES ? size : READ_BYTES;
    uint64_t skip = s->position - s->in_at;
    ssize_t n;
    int rc;

    if (!again && s->position >= s->in_at && skip + size <= s->in_size)
        return 0;
    rc = mui_buffer_grow(&s->in, want);
    if (rc != 0)
        return rc;
    s->in_at = s->position;
    s->in_size = 0;
    while (s->in_size < size) {
        n = pread(s->fd, s->in.data + s->in_size, want - s->in_size,
                  (off_t)(s->in_at + s->in_size));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return MU_EMPTY;
        s->in_size += (size_t)n;
    }
    return 0;
}

/* Whether what lies at the position is to be cut off, and no record. */
static bool is_torn_off(const struct file_state *s)
{
    /* acquire, both: a look that comes too early is repeated by who waits */
    return atomic_load_explicit(&s->page->is_torn, memory_order_acquire) &&
           s->position >=
               atomic_load_explicit(&s->page->tail, memory_order_acquire);
}

/* The record at the position. 0; MU_EMPTY: none yet; MU_ECORRUPT; -EMSGSIZE: it stays,
 * and ret->size is its size. */
static int record_load(struct mu_chan *c, bool again,
                       struct mu_chan_message *ret)
{
    struct file_state *s = file_state(c);
    struct log_header h;
    struct stat st;
    int64_t size;
    int rc = bytes_load(s, sizeof h, again);

    if (rc != 0)
        return rc;
    memcpy(&h, s->in.data + (s->position - s->in_at), sizeof h);
    if (h.word == 0)
        return MU_EMPTY;
    size = word_size(h.word);
    if (size < 0)
        return MU_ECORRUPT;
    /* the file has to have what the word promises before memory is taken */
    if (fstat(s->fd, &st) < 0 ||
        s->position + sizeof h + (uint64_t)size > (uint64_t)st.st_size)
        return MU_ECORRUPT;
    rc = bytes_load(s, sizeof h + (size_t)size, false);
    if (rc != 0)
        return rc;
    ret->data = s->in.data + (s->position - s->in_at) + sizeof h;
    ret->size = (size_t)size;
    ret->priority = 0;
    if (record_checksum(s->position, h.word, ret->data, ret->size) !=
        h.checksum)
        return MU_ECORRUPT;
    if (ret->size > c->options.message_bytes)
        return -EMSGSIZE;
    s->lent = record_bytes((size_t)size);
    return 0;
}

/* Take what inotify has to say away; that there was something is all of it. */
static void watch_clear(int fd)
{
    char events[4096];

    while (read(fd, events, sizeof events) == (ssize_t)sizeof events)
        ;
}

static int file_borrow(struct mu_chan *c, int64_t deadline,
                       struct mu_chan_message *ret)
{
    struct file_state *s = file_state(c);
    /* in slices: a sender killed between its record and its wake wakes nobody */
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    bool is_awaited = false; /* we said that we wait, and looked again */

    if (s->watch_fd > 0)
        watch_clear(s->watch_fd);
    for (;;) {
        uint32_t event =
            atomic_load_explicit(&s->page->event, memory_order_seq_cst);
        bool is_over = deadline == MU_NOW ||
                       (deadline != MU_NEVER && mu_now_ns() >= deadline);
        int rc = record_load(c, false, ret);

        if (rc == MU_EMPTY || rc == MU_ECORRUPT)
            rc = record_load(c, true, ret); /* what the buffer has may be old */
        if (rc == MU_ECORRUPT && is_torn_off(s))
            rc = MU_EMPTY;
        if (rc != MU_EMPTY)
            return rc;
        if (is_over && (is_awaited || s->watch_fd <= 0))
            return MU_TIMEOUT;
        if (!is_awaited)
            (void)atomic_fetch_or_explicit(&s->page->waiting,
                                           is_over ? LOG_WATCHED : LOG_ASLEEP,
                                           memory_order_seq_cst);
        else
            (void)mui_sleep_wait(&sleep, &s->page->event, event);
        is_awaited = !is_awaited;
    }
}

/* An inotify of the file: readers may be in any process, and come and go. A sender that
 * was killed between its record and its wake is told of by the kernel, which closes its
 * file. */
static int file_fd(struct mu_chan *c)
{
    struct file_state *s = file_state(c);
    char path[32];

    if (s->watch_fd > 0)
        return s->watch_fd;
    s->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
    if (s->watch_fd < 0)
        return -errno;
    if (inotify_add_watch(s->watch_fd, path, IN_ATTRIB | IN_CLOSE_WRITE) < 0) {
        int rc = -errno;

        (void)close(s->watch_fd);
        s->watch_fd =
            0; /* or the next call would hand out one that sees nothing */
        return rc;
    }
    return s->watch_fd;
}

static void file_release(struct mu_chan *c)
{
    struct file_state *s = file_state(c);

    s->position += s->lent;
}

/* A log has no end: nothing to say. */
static int file_close(struct mu_chan *c)
{
    (void)c;
    return 0;
}

static int file_drain(struct mu_chan *c, int64_t deadline)
{
    struct file_state *s = file_state(c);

    return sync_wait(s, s->position, deadline);
}

static uint64_t file_position(const struct mu_chan *c)
{
    return file_state(c)->position;
}

static void file_fini(struct mu_chan *c)
{
    struct file_state *s = file_state(c);

    if (s->window)
        (void)munmap(s->window, 2 * LOG_GROW);
    if (s->page)
        (void)munmap(s->page, LOG_BEGIN);
    if (s->watch_fd > 0)
        (void)close(s->watch_fd);
    if (s->fd > 0)
        (void)close(s->fd);
    mui_buffer_fini(&s->in);
}

const struct mui_transport mui_transport_file = {
    .scheme = "file",
    .size = sizeof(struct file_state),
    .pair = file_pair,
    .open = file_open,
    .connect = file_connect,
    .send = file_send,
    .send_batch = file_send_batch,
    .borrow = file_borrow,
    .release = file_release,
    .fd = file_fd,
    .close = file_close,
    .drain = file_drain,
    .fini = file_fini,
    .position = file_position,
};
