/* log.c: opening a log: new, open elsewhere, or to be looked through.
 *
 * Who opens one that nobody else has open (flock) looks through the records behind the
 * last one known to be on the disk. Where a record is not whole there are two cases. When
 * a whole one stands behind it, before the tail that the page knows, it was damaged: it
 * stays as it is, readers are told, and go on behind it. Else the end was torn off by a
 * loss of power, and the first to append cuts it away. Records behind the page's tail are
 * those of a writer that was killed: there can be one, and nothing is searched for.
 *
 * A record that a sender was told to be on the disk lies before the tail that the disk
 * has, for one fdatasync() wrote both. So no such record is ever cut.
 *
 * A file is new when it is empty; or a page of zeros, as a loss of power may leave one.
 * Whatever else does not begin as a log is refused, and not touched. */
#include "channel/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/crc32c.h"
#include "sys/descriptor.h"
#include "sys/file_limit.h"
#include "sys/read.h"

#define LOG_MAGIC  UINT64_C(0x676f6c756d0002) /* "mulog", version 2 */
#define OPEN_TRIES 100
#define SCAN_WORDS 8192 /* of the file that a search reads at a time */

uint32_t mui_log_checksum(uint64_t position, uint64_t word, const void *payload,
                          size_t size)
{
    uint64_t head[2] = {position, word};

    return mui_crc32c(mui_crc32c(0, head, sizeof head), payload, size);
}

int64_t mui_log_word_size(uint64_t word)
{
    uint64_t size = word >> 8;

    if ((word & 0xff) != MUI_LOG_KIND_DATA || size > MU_CHAN_MESSAGE_MAX)
        return -1;
    return (int64_t)size;
}

/* ---- records ---------------------------------------------------------------- */

/* Bytes of the file; -errno. */
static int64_t file_bytes(const struct mui_log *l)
{
    struct stat st;

    return fstat(l->fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

/* The length of the whole record at `at`; 0: there is none; -errno: nobody knows. */
static int64_t record_check(struct mui_log *l, uint64_t at)
{
    struct mui_log_header h;
    int64_t end;
    int64_t size;
    ssize_t n = mui_read_at(l->fd, &h, sizeof h, at);
    int rc;

    if (n != (ssize_t)sizeof h)
        return n < 0 ? n : 0;
    size = mui_log_word_size(h.word);
    if (size < 0 || h.zero != 0)
        return 0;
    /* the file has to have what the word promises before memory is taken */
    end = file_bytes(l);
    if (end < 0)
        return end;
    if (at + MUI_LOG_RECORD_HEADER + (uint64_t)size > (uint64_t)end)
        return 0;
    l->in_size = 0;
    rc = mui_buffer_grow(&l->in, (size_t)size + 1);
    if (rc != 0)
        return rc;
    n = mui_read_at(l->fd, l->in.data, (size_t)size,
                    at + MUI_LOG_RECORD_HEADER);
    if (n != size)
        return n < 0 ? n : 0;
    if (mui_log_checksum(at, h.word, l->in.data, (size_t)size) != h.checksum)
        return 0;
    return (int64_t)mui_log_record((size_t)size);
}

/* Whether a record that ends before `end` may begin with this word. */
static bool may_begin(uint64_t word, uint64_t at, uint64_t end)
{
    int64_t size = mui_log_word_size(word);

    return size >= 0 && at + mui_log_record((size_t)size) <= end;
}

/* A search under way. */
struct search {
    uint64_t at;
    uint64_t end;
    uint64_t
        budget; /* bytes that may be checked: a file made of headers has many */
};

/* Look at the words from s->at on. 0: there is one, at s->at; MU_EMPTY; MU_ECORRUPT;
 * -errno. */
static int words_search(struct mui_log *l, struct search *s,
                        const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n && s->at < s->end; i++, s->at += 8) {
        int64_t length;

        if (!may_begin(words[i], s->at, s->end))
            continue;
        if (words[i] >> 8 > s->budget)
            return MU_ECORRUPT;
        s->budget -= words[i] >> 8;
        length = record_check(l, s->at);
        if (length != 0)
            return length < 0 ? (int)length : 0;
    }
    return MU_EMPTY;
}

/* As mui_log_next(), from anywhere: at each multiple of 8. */
static int record_search(struct mui_log *l, struct search *s)
{
    uint64_t words[SCAN_WORDS];
    int rc = MU_EMPTY;

    while (rc == MU_EMPTY && s->at < s->end) {
        off_t data = lseek(l->fd, (off_t)s->at, SEEK_DATA);
        ssize_t n;

        if (data < 0 && errno == ENXIO)
            return MU_EMPTY; /* nothing was ever written there */
        if (data > (off_t)s->at)
            s->at = (uint64_t)data / 8 * 8;
        n = mui_read_at(l->fd, words, sizeof words, s->at);
        if (n < 8)
            return n < 0 ? (int)n : MU_EMPTY;
        rc = words_search(l, s, words, (size_t)n / 8);
    }
    return rc;
}

int mui_log_next(struct mui_log *l, uint64_t from, uint64_t end,
                 uint64_t *ret_at)
{
    struct search s = {.at = from + 8,
                       .end = end,
                       .budget = 4 * (end - from) + MU_CHAN_MESSAGE_MAX};
    uint64_t word = 0;
    ssize_t n = mui_read_at(l->fd, &word, sizeof word, from);
    int rc;

    if (n < 0)
        return (int)n;
    /* its length may be right: then what its payload looks like is nothing to us */
    if (may_begin(word, from, end)) {
        uint64_t next = from + mui_log_record((size_t)(word >> 8));
        int64_t length = next < end ? record_check(l, next) : 0;

        if (length > 0)
            *ret_at = next;
        if (length != 0)
            return length < 0 ? (int)length : 0;
    }
    rc = record_search(l, &s);
    if (rc == 0)
        *ret_at = s.at;
    return rc;
}

/* ---- the tail --------------------------------------------------------------- */

/* Move *at behind the whole records there. */
static int records_pass(struct mui_log *l, uint64_t *at)
{
    int64_t n;

    while ((n = record_check(l, *at)) > 0)
        *at += (uint64_t)n;
    return (int)n;
}

static bool is_boundary(uint64_t at, uint64_t from, uint64_t end)
{
    return at >= from && at <= end && at % 8 == 0;
}

int mui_log_cut(struct mui_log *l)
{
    struct mui_log_page *page = l->page;
    /* relaxed, all: who is killed in here leaves `is_torn`, and the next does it again */
    uint64_t tail = atomic_load_explicit(&page->tail, memory_order_relaxed);
    int rc;

    if (!is_boundary(tail, MUI_LOG_BEGIN, INT64_MAX))
        return MU_ECORRUPT;
    rc = records_pass(l, &tail);
    if (rc != 0)
        return rc;
    atomic_store_explicit(&page->tail, tail, memory_order_release);
    /* behind the tail all is to be 0: the file is cut there and grows anew */
    if (ftruncate(l->fd, (off_t)tail) < 0)
        return -errno;
    atomic_store_explicit(&page->allocated, tail, memory_order_relaxed);
    atomic_store_explicit(&page->is_torn, 0, memory_order_relaxed);
    return 0;
}

/* Where the whole records end, behind `at`. `known`: the page's tail. */
static int tail_find(struct mui_log *l, uint64_t at, uint64_t known,
                     uint64_t *ret_tail)
{
    int rc;

    while ((rc = records_pass(l, &at)) == 0 && at < known) {
        uint64_t next;

        rc = mui_log_next(l, at, known, &next);
        if (rc != 0)
            break;
        at = next;
    }
    *ret_tail = at;
    return rc == MU_EMPTY ? 0 : rc;
}

/* ---- opening ---------------------------------------------------------------- */

static int page_map(struct mui_log *l)
{
    void *page =
        mmap(NULL, MUI_LOG_BEGIN, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);

    if (page == MAP_FAILED)
        return -errno;
    l->page = page;
    return 0;
}

/* Have the disk know that the file is there. */
static int directory_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];
    int fd;
    int rc;

    (void)snprintf(directory, sizeof directory, "%.*s",
                   slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* some file systems have nothing to write there, and say so */
    rc = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
    (void)close(fd);
    return rc;
}

/* Make a log of a new file. One write: who is killed leaves a log, or none. */
static int log_make(struct mui_log *l, const char *path)
{
    union {
        struct mui_log_page page;
        char bytes[MUI_LOG_BEGIN];
    } first = {.page = {.magic = LOG_MAGIC,
                        .tail = MUI_LOG_BEGIN,
                        .durable = MUI_LOG_BEGIN,
                        .is_torn = 1}};
    ssize_t n;
    int rc;

    if (sizeof first > mui_file_bytes_max())
        return -EFBIG; /* and no SIGXFSZ */
    n = pwrite(l->fd, &first, sizeof first, 0);
    rc = n < 0 ? -errno : 0;
    if (n >= 0 && n != (ssize_t)sizeof first)
        rc = -ENOSPC;
    if (rc != 0) {
        (void)!ftruncate(l->fd, 0);
        return rc;
    }
    /* or a loss of power could take the page, and leave records that it belongs to */
    if (fsync(l->fd) < 0)
        return -errno;
    rc = directory_sync(path);
    return rc != 0 ? rc : page_map(l);
}

static bool is_zero(const char *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Nobody else has it open: see that it is whole, or new. */
static int log_recover(struct mui_log *l, const char *path)
{
    union {
        struct mui_log_page page;
        char bytes[MUI_LOG_BEGIN];
    } first;
    ssize_t n = mui_read_at(l->fd, &first, sizeof first, 0);
    int64_t end = file_bytes(l);
    uint64_t from;
    uint64_t tail;
    int rc;

    if (n < 0 || end < 0)
        return n < 0 ? (int)n : (int)end;
    if (n == 0 || (end == (int64_t)MUI_LOG_BEGIN && n == end &&
                   is_zero(first.bytes, sizeof first)))
        return log_make(l, path);
    if (n != (ssize_t)sizeof first || first.page.magic != LOG_MAGIC)
        return MU_ECORRUPT;
    /* relaxed, all: nobody else has it open */
    from = atomic_load_explicit(&first.page.durable, memory_order_relaxed);
    tail = atomic_load_explicit(&first.page.tail, memory_order_relaxed);
    if (!is_boundary(from, MUI_LOG_BEGIN, (uint64_t)end))
        from = MUI_LOG_BEGIN;
    if (!is_boundary(tail, from, (uint64_t)end))
        tail = (uint64_t)end;
    rc = tail_find(l, from, tail, &tail);
    if (rc == 0)
        rc = page_map(l);
    if (rc != 0)
        return rc;
    l->page->lock.word = l->page->sync_lock.word = 0;
    atomic_store_explicit(&l->page->waiting, 0, memory_order_relaxed);
    atomic_store_explicit(&l->page->sync_error, 0, memory_order_relaxed);
    atomic_store_explicit(&l->page->durable, from, memory_order_relaxed);
    atomic_store_explicit(&l->page->tail, tail, memory_order_relaxed);
    atomic_store_explicit(&l->page->is_torn, 1, memory_order_relaxed);
    return 0;
}

/* Map the first page of a log that others have open too. MU_EMPTY: not there yet. */
static int log_join(struct mui_log *l)
{
    int64_t end = file_bytes(l);
    int rc;

    if (end < (int64_t)MUI_LOG_BEGIN)
        return end < 0 ? (int)end : MU_EMPTY;
    rc = page_map(l);
    if (rc != 0)
        return rc;
    return l->page->magic == LOG_MAGIC ? 0 : MU_ECORRUPT;
}

/* Wait for a share of it, through signals. */
static int share_lock(int fd)
{
    int rc;

    do
        rc = flock(fd, LOCK_SH) < 0 ? -errno : 0;
    while (rc == -EINTR);
    return rc;
}

int mui_log_open(struct mui_log *l, const char *path, const char **ret_text)
{
    int rc = MU_EMPTY;

    *ret_text = "open";
    rc = mui_descriptor_above_stdio(
        open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (rc < 0)
        return rc;
    l->fd = rc;
    rc = MU_EMPTY;
    for (int i = 0; i < OPEN_TRIES && rc == MU_EMPTY; i++) {
        if (flock(l->fd, LOCK_EX | LOCK_NB) == 0) {
            int shared;

            rc = log_recover(l, path);
            shared = share_lock(l->fd);
            if (rc == 0)
                rc = shared;
        } else {
            rc = share_lock(l->fd);
            if (rc == 0)
                rc = log_join(l);
        }
    }
    if (rc == MU_EMPTY)
        rc = MU_ECORRUPT;
    if (rc == MU_ECORRUPT)
        *ret_text = "it does not begin as a log, and is left alone:";
    return rc;
}

void mui_log_close(struct mui_log *l)
{
    if (l->page)
        (void)munmap(l->page, MUI_LOG_BEGIN);
    if (l->fd > 0)
        (void)close(l->fd);
    mui_buffer_fini(&l->in);
}
