/* input.c: a range of a file as the input of a task. */
#include "layer/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/read.h"

/* A file up to this size is read into a buffer that is kept; a larger one is
 * mapped: below it mapping costs more than copying. One that does not tell its size, as
 * those of /proc, is read to its end, in a buffer that grows to so much for the task. */
enum { FILE_READ_MAX = 256 * 1024, FILE_UNSIZED_MAX = 256 << 20 };

static int grow_buffer(struct mui_file_input *f)
{
    size_t bytes = f->buffer_bytes ? f->buffer_bytes * 2 : FILE_READ_MAX;
    uint8_t *buffer;

    if (bytes > FILE_UNSIZED_MAX)
        return -EFBIG;
    buffer = realloc(f->buffer, bytes + 1); /* a byte of 0 behind it */
    if (!buffer)
        return -ENOMEM;
    f->buffer = buffer;
    f->buffer_bytes = bytes;
    if (bytes > FILE_READ_MAX)
        f->mapped_bytes = bytes;
    return 0;
}

static int read_range(struct mui_file_input *f, int fd, uint64_t offset,
                      uint64_t size)
{
    size_t got = 0;
    int rc = f->buffer ? 0 : grow_buffer(f);

    while (rc == 0) {
        size_t room = f->buffer_bytes - got;
        size_t wanted = room < size - got ? room : (size_t)(size - got);
        ssize_t n = mui_read_at(fd, f->buffer + got, wanted, offset + got);

        if (n < 0)
            return (int)n;
        got += (size_t)n;
        if (got == size || (size_t)n < wanted)
            break;
        rc = grow_buffer(f);
    }
    if (rc != 0)
        return rc;
    f->buffer[got] = 0;
    f->bytes = f->buffer;
    f->size = got;
    return 0;
}

/* The page that the range ends in, or else the next, is a copy, with 0 behind the end. */
static int map_range(struct mui_file_input *f, int fd, uint64_t offset,
                     size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t skip = (size_t)(offset % page);
    size_t end = (skip + size) / page * page;
    size_t rest = (skip + size) % page;
    uint8_t *base = mmap(NULL, end + page, PROT_READ, MAP_PRIVATE, fd,
                         (off_t)(offset - skip));
    ssize_t n;

    if (base == MAP_FAILED)
        return -errno;
    f->mapping = base;
    f->mapped_bytes = end + page;
    if (mmap(base + end, page, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -errno;
    n = mui_read_at(fd, base + end, rest, offset - skip + end);
    if (n < 0)
        return (int)n;
    if (mprotect(base + end, page, PROT_READ) < 0)
        return -errno;
    (void)madvise(base, end, MADV_SEQUENTIAL);
    f->bytes = base + skip;
    f->size = end - skip + (size_t)n;
    return 0;
}

/* Whether a range begins behind the end of its file. At `end` 0 it may be one that tells no
 * size: there is an end there if the byte before it can be read. */
static bool is_beyond(int fd, uint64_t end, uint64_t offset, size_t got)
{
    uint8_t byte;

    if (end != 0)
        return offset > end;
    return got == 0 && offset > 0 && mui_read_at(fd, &byte, 1, offset - 1) != 1;
}

static int take_range(struct mui_file_input *f, int fd,
                      const struct mui_file_range *range)
{
    struct stat st;
    uint64_t end;
    uint64_t size;
    int rc;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    end = (uint64_t)st.st_size;
    if (end == 0)
        size = UINT64_MAX;
    else
        size = range->offset >= end ? 0 : end - range->offset;
    if (range->size && range->size < size)
        size = range->size;
    rc = size <= FILE_READ_MAX || end == 0
             ? read_range(f, fd, range->offset, size)
             : map_range(f, fd, range->offset, (size_t)size);
    /* a part of what was asked for is not what was asked for */
    if (rc == 0 &&
        (f->size < range->size || is_beyond(fd, end, range->offset, f->size)))
        return -ERANGE;
    return rc;
}

int mui_file_input_open(struct mui_file_input *f,
                        const struct mui_file_range *range)
{
    /* a named pipe is refused, and not waited for until somebody writes */
    int fd = open((const char *)(range + 1),
                  O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc;

    if (fd < 0)
        return -errno;
    rc = take_range(f, fd, range);
    (void)close(fd);
    return rc;
}

void mui_file_input_fini(struct mui_file_input *f)
{
    free(f->buffer);
}

void mui_file_input_drop(struct mui_file_input *f)
{
    if (f->mapping) {
        (void)munmap(f->mapping, f->mapped_bytes);
        f->mapping = NULL;
    } else {
        free(f->buffer);
        f->buffer = NULL;
        f->buffer_bytes = 0;
    }
    f->mapped_bytes = 0;
}
