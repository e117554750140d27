/* stream.c: the bytes of a descriptor, as they arrive. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/base.h"

#include "say.h"
#include "standard.h"
#include "text.h"
#include "wakeup.h"

enum {
    READ_BYTES = 256 * 1024,
    AHEAD_BYTES = 1024 * 1024 /* what the reader may hold before it waits */
};

struct stream {
    const char *path;
    char *opened; /* a copy, for a reader that is left after its path is gone */
    int fd;       /* -1 until the reader has opened a named pipe */
    uint64_t file_size;
    uint64_t position;
    int is_regular;
    int is_held;      /* bytes of a pipe are not dropped once consumed */
    off_t held_start; /* of a file: where stream_rewind() goes */

    /* main thread: [start, text.size) is not consumed */
    struct text text;
    size_t start;
    struct stream *next_left;

    /* under lock, when a reader runs */
    pthread_mutex_t lock;
    pthread_cond_t has_room;
    struct text ahead;
    int at_end;
    int read_errno;
    int is_waiting; /* the main thread found nothing and wants a ring */
};

/* Bytes that were read go to the main thread; waits while it has enough. Returns whether
 * to read on. Reader thread. */
static int hand_over(struct stream *s, const char *bytes, ssize_t size)
{
    int reason = errno;
    int wanted;

    (void)pthread_mutex_lock(&s->lock);
    while (s->ahead.size >= AHEAD_BYTES)
        (void)pthread_cond_wait(&s->has_room, &s->lock);
    if (size > 0 && text_try_append(&s->ahead, bytes, (size_t)size) < 0) {
        size = -1;
        reason = ENOMEM;
    }
    if (size <= 0)
        s->at_end = 1;
    if (size < 0)
        s->read_errno = reason;
    wanted = s->is_waiting;
    s->is_waiting = 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (wanted)
        wakeup_ring();
    return size > 0;
}

/* Who else has the descriptor open may have made it one that does not wait. */
static ssize_t read_waiting(int fd, char *bytes)
{
    struct pollfd room = {.fd = fd, .events = POLLIN};
    ssize_t size;

    while ((size = read(fd, bytes, READ_BYTES)) < 0) {
        if (errno == EAGAIN && poll(&room, 1, -1) < 0 && errno != EINTR)
            return -1;
        if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    return size;
}

static void *reader_main(void *arg)
{
    struct stream *s = arg;
    char *bytes = text_alloc(1, READ_BYTES);
    ssize_t size;

    if (s->fd < 0)
        s->fd = open(s->opened, O_RDONLY | O_CLOEXEC);
    do
        size = read_waiting(s->fd, bytes);
    while (hand_over(s, bytes, size));
    free(bytes);
    return NULL;
}

/* Signals are for the main thread. The reader ends at the end of the pipe, or
 * with the process: nobody joins it, for it may be inside read(). */
static int start_reader(struct stream *s)
{
    pthread_t reader;
    sigset_t all;
    sigset_t before;
    int rc;

    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->has_room, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&reader, NULL, reader_main, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return say_refuse("cannot start the thread that reads %s: %s", s->path,
                          say_reason(rc));
    (void)pthread_detach(reader);
    return 0;
}

/* Returns   0: *ret_fd is open and *ret_st tells what it is, or it is -1 and a named
 *           pipe; -errno */
static int open_path(const char *path, int *ret_fd, struct stat *ret_st)
{
    int fd = -1;

    if (stat(path, ret_st) < 0)
        return -errno;
    if (S_ISFIFO(ret_st->st_mode) && access(path, R_OK) < 0)
        return -errno;
    if (!S_ISFIFO(ret_st->st_mode)) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, ret_st) < 0)
            return -errno;
    }
    *ret_fd = fd;
    return 0;
}

int stream_open(const char *path, struct stream **ret_stream)
{
    struct stream *s;
    struct stat st;
    int fd = standard_input();
    int rc;

    if (strcmp(path, "-") == 0) {
        path = "standard input";
        rc = fstat(fd, &st) < 0 ? -errno : 0;
    } else {
        rc = open_path(standard_path(path), &fd, &st);
    }
    if (rc < 0)
        return say_refuse("cannot read %s: %s", path, say_reason(-rc));
    if (S_ISDIR(st.st_mode)) {
        if (fd != standard_input())
            (void)close(fd);
        return say_refuse("%s is a directory: --each file runs over the files "
                          "below it",
                          path);
    }

    s = text_alloc(1, sizeof *s);
    s->path = path;
    s->opened = text_copy(standard_path(path));
    s->fd = fd;
    s->is_regular = S_ISREG(st.st_mode);
    if (s->is_regular)
        s->file_size = (uint64_t)st.st_size;
    else if (start_reader(s) < 0) {
        free(s->opened);
        free(s);
        return -1;
    }
    *ret_stream = s;
    return 0;
}

/* Streams that are not wanted any more while a reader uses them stay, for the process is
 * about to end. The list is for who looks for leaks. */
static struct stream *left;

void stream_free(struct stream *s)
{
    if (!s)
        return;
    if (!s->is_regular) {
        int at_end;

        (void)pthread_mutex_lock(&s->lock);
        at_end = s->at_end;
        (void)pthread_mutex_unlock(&s->lock);
        if (!at_end) {
            s->next_left = left;
            left = s;
            return;
        }
        (void)pthread_mutex_destroy(&s->lock);
        (void)pthread_cond_destroy(&s->has_room);
    }
    if (s->fd >= 0 && s->fd != standard_input())
        (void)close(s->fd);
    text_fini(&s->text);
    text_fini(&s->ahead);
    free(s->opened);
    free(s);
}

const char *stream_data(const struct stream *s, size_t *ret_size)
{
    *ret_size = s->text.size - s->start;
    return text_string(&s->text) + s->start;
}

void stream_consume(struct stream *s, size_t size)
{
    s->start += size;
    s->position += size;
}

/* Consumed bytes make room for new ones. */
static void drop_consumed(struct stream *s)
{
    size_t rest = s->text.size - s->start;

    if (s->start == 0 || (s->is_held && !s->is_regular))
        return;
    memmove(s->text.data, s->text.data + s->start, rest);
    s->text.size = rest;
    s->start = 0;
}

static int fill_from_file(struct stream *s)
{
    ssize_t size;

    if (text_try_reserve(&s->text, READ_BYTES) < 0)
        return -ENOMEM;
    do
        size = read(s->fd, s->text.data + s->text.size, READ_BYTES);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return say_refuse("cannot read %s: %s", s->path, say_reason(errno));
    s->text.size += (size_t)size;
    return size ? 0 : MU_EMPTY;
}

static int fill_from_reader(struct stream *s)
{
    int rc = 0;

    (void)pthread_mutex_lock(&s->lock);
    if (s->ahead.size) {
        if (s->text.size == 0) {
            struct text empty = s->text;

            s->text = s->ahead;
            s->ahead = empty;
        } else {
            rc = text_try_append(&s->text, s->ahead.data, s->ahead.size);
        }
        text_clear(&s->ahead);
        (void)pthread_cond_signal(&s->has_room);
    } else if (s->read_errno == ENOMEM) {
        rc = -ENOMEM;
    } else if (s->read_errno) {
        rc = say_refuse("cannot read %s: %s", s->path,
                        say_reason(s->read_errno));
    } else if (s->at_end) {
        rc = MU_EMPTY;
    } else {
        s->is_waiting = 1;
        rc = MU_TIMEOUT;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

int stream_fill(struct stream *s)
{
    int rc;

    drop_consumed(s);
    rc = s->is_regular ? fill_from_file(s) : fill_from_reader(s);
    if (rc == -ENOMEM) {
        /* what runs may need it */
        text_fini(&s->text);
        s->start = 0;
    }
    return rc;
}

void stream_hold(struct stream *s)
{
    s->is_held = 1;
    if (s->is_regular)
        s->held_start = lseek(s->fd, 0, SEEK_CUR);
}

void stream_rewind(struct stream *s)
{
    s->is_held = 0;
    s->start = 0;
    s->position = 0;
    if (s->is_regular) {
        text_clear(&s->text);
        (void)lseek(s->fd, s->held_start, SEEK_SET);
    }
}

uint64_t stream_file_size(const struct stream *s)
{
    return s->file_size;
}

uint64_t stream_position(const struct stream *s)
{
    return s->position;
}

int stream_is_of_process(const char *path)
{
    static const char *const names[] = {"/dev/stdin", "/dev/fd/", "/proc/self/",
                                        "/proc/thread-self/"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(path, names[i], strlen(names[i])) == 0)
            return 1;
    return 0;
}

int stream_file(const struct stream *s)
{
    /* of anything else the reader may just set the descriptor */
    if (!s->is_regular)
        return -1;
    if (s->fd == standard_input() || stream_is_of_process(s->path))
        return -1;
    return s->fd;
}
