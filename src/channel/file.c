/* file.c: an append-only log.
 *
 * log.h says what lies in the file. Who appends holds the log's mutex, which lies in
 * its first page, writes the payload and a 0 where the next record will begin, and then
 * the word that makes the record be there. Readers go by those words and need no lock:
 * each has its own position.
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
 * whole. What a loss of power leaves, log.c finds. Before the tail every byte belongs to
 * a record: where a reader finds none it was damaged, is told so, with the position, and
 * goes on with the next whole one.
 *
 * The file grows ahead of its records by fallocate(), so that a full disk is an error
 * and no signal; where there is little room, not as far ahead. Whoever may write the
 * file can damage it, or crash all who have it open by cutting it short, for they have
 * its first page mapped; its permissions are the guard, and readers check what they
 * read. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/log.h"
#include "shared/sleep.h"
#include "sys/descriptor.h"
#include "sys/file_limit.h"
#include "sys/futex.h"

#define LOG_GROW    UINT64_C(16777216) /* allocated ahead, and mapped at once */
#define LOG_STEP    UINT64_C(4096)     /* allocated where that is too much */
#define LARGE_BYTES ((size_t)65536)    /* from here on written, not stored */
#define READ_BYTES  ((size_t)262144)

/* Who is to be told of the next record. */
enum log_waiting {
    LOG_ASLEEP = 1, /* on `event` */
    LOG_WATCHED = 2 /* with inotify: by a change of the file's times */
};

struct file_state {
    struct mui_log log;
    uint64_t position;
    /* sender's */
    char *window; /* a mapping of LOG_GROW * 2 bytes from window_at */
    uint64_t window_at;
    /* receiver's */
    int watch_fd;       /* above 0: made by file_fd() */
    uint64_t damage_at; /* the user was told of what is not whole there */
    size_t lent;
};

static struct file_state *file_state(const struct mu_chan *c)
{
    return (struct file_state *)(void *)(uintptr_t)c->state;
}

/* ---- opening ---------------------------------------------------------------- */

static int log_open(struct mu_chan *c, const char *path, struct mu_error *err)
{
    const char *text;
    int rc;

    if (*path == '\0')
        return mui_fail(err, -EINVAL, "file: it needs a path");
    rc = mui_log_open(&file_state(c)->log, path, &text);
    return rc == 0 ? 0 : mui_fail(err, rc, "file: %s %s", text, path);
}

static int file_open(struct mu_chan *c, const char *rest, struct mu_error *err)
{
    int rc = log_open(c, rest, err);

    if (rc != 0)
        return rc;
    file_state(c)->position =
        c->options.position ? c->options.position : MUI_LOG_BEGIN;
    if (file_state(c)->position < MUI_LOG_BEGIN ||
        file_state(c)->position % 8 != 0)
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
    struct mui_log_page *page = s->log.page;
    int rc = mu_mutex_lock(&page->lock, deadline);

    if (rc == MU_OWNER_DIED) {
        /* relaxed, both: under the lock */
        atomic_store_explicit(&page->is_torn, 1, memory_order_relaxed);
        rc = 0;
    }
    if (rc == 0 && atomic_load_explicit(&page->is_torn, memory_order_relaxed)) {
        rc = mui_log_cut(&s->log);
        if (rc != 0)
            (void)mu_mutex_unlock(&page->lock);
    }
    return rc;
}

/* Have the file reach `end`, and of what follows it as much as disk and limit allow.
 * Above the limit there would be a SIGXFSZ. Under the lock. */
static int log_grow(struct file_state *s, uint64_t end)
{
    uint64_t have =
        atomic_load_explicit(&s->log.page->allocated, memory_order_relaxed);
    uint64_t limit;
    uint64_t step = LOG_GROW;
    uint64_t want;
    int rc;

    if (end <= have)
        return 0;
    limit = mui_file_bytes_max();
    if (end > limit)
        return -EFBIG;
    for (;;) {
        want = (end + step - 1) / step * step;
        if (want > limit)
            want = limit;
        rc = posix_fallocate(s->log.fd, (off_t)have, (off_t)(want - have));
        if (rc == 0)
            break;
        if (step > LOG_STEP)
            step /= 4;
        else if (rc != EINTR)
            return -rc;
    }
    atomic_store_explicit(&s->log.page->allocated, want, memory_order_relaxed);
    return 0;
}

/* Where a range of less than LOG_GROW bytes is mapped. Under the lock. */
static char *window_at(struct file_state *s, uint64_t from, uint64_t end)
{
    if (!s->window || from < s->window_at ||
        end > s->window_at + 2 * LOG_GROW) {
        uint64_t at = from / LOG_GROW * LOG_GROW;
        void *window = mmap(NULL, 2 * LOG_GROW, PROT_READ | PROT_WRITE,
                            MAP_SHARED, s->log.fd, (off_t)at);

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

    if (at + size > mui_file_bytes_max())
        return -EFBIG; /* and no signal; another may have made the file larger */
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
    uint64_t at =
        atomic_load_explicit(&s->log.page->tail, memory_order_relaxed);
    uint64_t next = at + mui_log_record(size);
    uint64_t word = (uint64_t)size << 8 | MUI_LOG_KIND_DATA;
    struct mui_log_header *h;
    int rc;

    if (at < MUI_LOG_BEGIN || at % 8 != 0)
        return MU_ECORRUPT; /* somebody wrote over the page */
    rc = log_grow(s, next + MUI_LOG_RECORD_HEADER);
    if (rc != 0)
        return rc;
    if (size >= LARGE_BYTES) {
        rc = all_pwrite(s->log.fd, bytes, size, at + MUI_LOG_RECORD_HEADER);
        if (rc != 0)
            return rc;
    }
    h = (struct mui_log_header *)(void *)window_at(
        s, at,
        size < LARGE_BYTES ? next + MUI_LOG_RECORD_HEADER
                           : at + MUI_LOG_RECORD_HEADER);
    if (!h)
        return -ENOMEM;
    if (size < LARGE_BYTES) {
        if (size > 0)
            memcpy(h + 1, bytes, size);
        memset((char *)(h + 1) + size, 0,
               (size_t)(next - at) - MUI_LOG_RECORD_HEADER - size +
                   sizeof h->word);
    } else {
        static const uint64_t zeros[2];

        rc = all_pwrite(s->log.fd, zeros,
                        (size_t)(next - at) - MUI_LOG_RECORD_HEADER - size + 8,
                        at + MUI_LOG_RECORD_HEADER + size);
        if (rc != 0)
            return rc;
    }
    h->checksum = mui_log_checksum(at, word, bytes, size);
    h->zero = 0;
    /* W1, read by record_load() */
    atomic_store_explicit((_Atomic uint64_t *)&h->word, word,
                          memory_order_release);
    atomic_store_explicit(&s->log.page->tail, next, memory_order_release);
    return 0;
}

/* Tell waiting readers. seq_cst: their `waiting`, then their look at `event`, or our
 * change of `event`, then our look at `waiting`: one sees the other. */
static void readers_wake(struct file_state *s)
{
    struct mui_log_page *page = s->log.page;
    uint32_t waiting;

    (void)atomic_fetch_add_explicit(&page->event, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&page->waiting, memory_order_seq_cst) == 0)
        return;
    waiting = atomic_exchange_explicit(&page->waiting, 0, memory_order_relaxed);
    (void)mui_futex_wake(&page->event, INT_MAX, 1);
    if (waiting & LOG_WATCHED)
        (void)futimens(s->log.fd,
                       NULL); /* stores into a mapping are not noticed */
}

/* Write to the disk, with sync_lock. An error stays, for the kernel tells it once and
 * then takes what it could not write for written. */
static int log_sync(struct mui_log *l)
{
    struct mui_log_page *page = l->page;
    uint64_t tail = atomic_load_explicit(&page->tail, memory_order_acquire);
    int rc = atomic_load_explicit(&page->sync_error, memory_order_relaxed);

    if (rc == 0 && fdatasync(l->fd) < 0)
        rc = -errno;
    if (rc == 0)
        atomic_store_explicit(&page->durable, tail, memory_order_release);
    else
        atomic_store_explicit(&page->sync_error, rc, memory_order_relaxed);
    return rc;
}

/* Wait until the disk has all before `end`. Who gets the mutex writes for all that
 * wait: they find it done when their turn comes. Nothing is begun after the deadline;
 * a write that has begun is not broken off. */
static int sync_wait(struct file_state *s, uint64_t end, int64_t deadline)
{
    struct mui_log_page *page = s->log.page;
    int rc;

    /* acquire: pairs with the store in log_sync() */
    if (atomic_load_explicit(&page->durable, memory_order_acquire) >= end)
        return 0;
    rc = mu_mutex_lock(&page->sync_lock, deadline);
    if (rc != 0 && rc != MU_OWNER_DIED)
        return rc;
    rc = 0;
    if (atomic_load_explicit(&page->durable, memory_order_acquire) < end)
        rc = mu_now_ns() < deadline ? log_sync(&s->log) : MU_TIMEOUT;
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
    if (n_done > 0)
        s->position =
            atomic_load_explicit(&s->log.page->tail, memory_order_relaxed);
    (void)mu_mutex_unlock(&s->log.page->lock);
    if (n_done > 0)
        readers_wake(s);
    *ret_n = n_done;
    /* also when the next had no room: those before it count as sent */
    if (n_done > 0 && c->options.sync == MU_CHAN_SYNC_DISK) {
        int synced = sync_wait(s, s->position, deadline);

        if (synced != 0)
            rc = synced;
    }
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
    uint64_t skip = s->position - s->log.in_at;
    ssize_t n;
    int rc;

    if (!again && s->position >= s->log.in_at && skip + size <= s->log.in_size)
        return 0;
    rc = mui_buffer_grow(&s->log.in, want);
    if (rc != 0)
        return rc;
    s->log.in_at = s->position;
    s->log.in_size = 0;
    while (s->log.in_size < size) {
        n = pread(s->log.fd, s->log.in.data + s->log.in_size,
                  want - s->log.in_size,
                  (off_t)(s->log.in_at + s->log.in_size));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return MU_EMPTY;
        s->log.in_size += (size_t)n;
    }
    return 0;
}

/* The record at the position. 0; MU_EMPTY: there is none; -EMSGSIZE: it stays, and
 * ret->size is its size. */
static int record_load(struct mu_chan *c, bool again,
                       struct mu_chan_message *ret)
{
    struct file_state *s = file_state(c);
    struct mui_log_header h;
    struct stat st;
    int64_t size;
    int rc = bytes_load(s, sizeof h, again);

    if (rc != 0)
        return rc;
    memcpy(&h, s->log.in.data + (s->position - s->log.in_at), sizeof h);
    size = mui_log_word_size(h.word);
    if (size < 0)
        return MU_EMPTY;
    /* the file has to have what the word promises before memory is taken */
    if (fstat(s->log.fd, &st) < 0 ||
        s->position + sizeof h + (uint64_t)size > (uint64_t)st.st_size)
        return MU_EMPTY;
    rc = bytes_load(s, sizeof h + (size_t)size, false);
    if (rc != 0)
        return rc;
    ret->data = s->log.in.data + (s->position - s->log.in_at) + sizeof h;
    ret->size = (size_t)size;
    ret->priority = 0;
    if (mui_log_checksum(s->position, h.word, ret->data, ret->size) !=
        h.checksum)
        return MU_EMPTY;
    if (ret->size > c->options.message_bytes)
        return -EMSGSIZE;
    s->lent = mui_log_record((size_t)size);
    return 0;
}

/* Where records end. `tail` alone is another's word. */
static int64_t records_end(const struct mui_log *l)
{
    /* acquire: what lies before it is read behind this */
    uint64_t tail = atomic_load_explicit(&l->page->tail, memory_order_acquire);
    struct stat st;

    if (fstat(l->fd, &st) < 0)
        return -errno;
    return tail < (uint64_t)st.st_size ? (int64_t)tail : (int64_t)st.st_size;
}

/* There is no record at the position. 0: look again, behind damage that the user knows
 * of; MU_EMPTY: there is none yet; MU_ECORRUPT: there was one; -errno. */
static int damage_pass(struct file_state *s, int64_t end)
{
    int rc;

    if (end < 0 || s->position >= (uint64_t)end)
        return end < 0 ? (int)end : MU_EMPTY;
    if (s->damage_at != s->position) {
        s->damage_at = s->position;
        return MU_ECORRUPT;
    }
    rc = mui_log_next(&s->log, s->position, (uint64_t)end, &s->position);
    if (rc == MU_EMPTY)
        s->position = (uint64_t)end;
    return rc == MU_EMPTY ? 0 : rc;
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
            atomic_load_explicit(&s->log.page->event, memory_order_seq_cst);
        bool is_over = deadline == MU_NOW ||
                       (deadline != MU_NEVER && mu_now_ns() >= deadline);
        int rc = record_load(c, false, ret);

        if (rc == MU_EMPTY) { /* what the buffer has may be old */
            int64_t end = records_end(&s->log);

            rc = record_load(c, true, ret);
            if (rc == MU_EMPTY && (rc = damage_pass(s, end)) == 0)
                continue;
        }
        if (rc != MU_EMPTY)
            return rc;
        if (is_over && (is_awaited || s->watch_fd <= 0))
            return MU_TIMEOUT;
        if (!is_awaited)
            (void)atomic_fetch_or_explicit(&s->log.page->waiting,
                                           is_over ? LOG_WATCHED : LOG_ASLEEP,
                                           memory_order_seq_cst);
        else
            (void)mui_sleep_wait(&sleep, &s->log.page->event, event);
        is_awaited = !is_awaited;
    }
}

/* An inotify of the file: readers may be in any process, and come and go. A sender that
 * was killed between its record and its wake is told of by the kernel, which closes its
 * file. */
static int file_fd(struct mu_chan *c)
{
    struct file_state *s = file_state(c);
    struct mui_descriptor_path path;

    if (s->watch_fd > 0)
        return s->watch_fd;
    s->watch_fd =
        mui_descriptor_above_stdio(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (s->watch_fd < 0)
        return s->watch_fd;
    path = mui_descriptor_path(s->log.fd);
    if (inotify_add_watch(s->watch_fd, path.text, IN_ATTRIB | IN_CLOSE_WRITE) <
        0) {
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
    if (s->watch_fd > 0)
        (void)close(s->watch_fd);
    mui_log_close(&s->log);
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
