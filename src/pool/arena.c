/* arena.c: size classes over a sparse memfd.
 *
 * Sizes are rounded up to one of four steps a power of two, so at most a fifth is
 * wasted. A block keeps its class in the 64 bytes before it; freed blocks wait in
 * a list of their class, the one freed last in front, for it is in the cache.
 * Address space is not given back, memory is: freed blocks of LARGE or more stay
 * resident up to KEEP_MAX in all, since faulting a page in costs ten times what
 * copying it does; what is freed beyond that is punched out of the file. */
#include "pool/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/descriptor.h"
#include "sys/file_limit.h"
#include "sys/memfd.h"

enum { HEAD = 64, LARGE = 1 << 20, KEEP_MAX = 64 << 20 };

/* Lies before a block, in memory that workers can only read. */
struct head {
    uint64_t i_class;
    void *next; /* while free */
};

_Static_assert(sizeof(struct head) <= HEAD, "the head has room");

/* Four classes a power of two: 64, 80, 96, 112, 128, 160, ... */
static unsigned class_of(size_t size)
{
    unsigned log2;
    size_t step;

    if (size <= 64)
        return 0;
    log2 = (unsigned)(63 - __builtin_clzll(size - 1)); /* 2^log2 < size */
    step = (size_t)1 << (log2 - 2);
    return (log2 - 6) * 4 +
           (unsigned)((size - 1 - ((size_t)1 << log2)) / step) + 1;
}

static size_t class_bytes(unsigned i_class)
{
    size_t base;

    if (i_class == 0)
        return 64;
    base = (size_t)64 << ((i_class - 1) / 4);
    return base + base / 4 * ((i_class - 1) % 4 + 1);
}

/* How much address space: plenty, for it costs nothing, but within the limits
 * that this process runs under. */
static uint64_t arena_limit(void)
{
    /* what is held at a time fits into memory; freed classes leave gaps */
    uint64_t bytes =
        8 * (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    struct rlimit limit;

    if (mui_file_bytes_max() < bytes)
        bytes = mui_file_bytes_max();
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur / 4 < bytes)
        bytes = limit.rlim_cur / 4;
    return bytes & ~UINT64_C(4095);
}

/* Map as much as can be had. */
static int arena_map(struct mui_arena *arena, int fd, struct mu_error *err)
{
    for (arena->bytes = arena_limit(); arena->bytes >= LARGE;
         arena->bytes /= 2) {
        void *base;

        if (ftruncate(fd, (off_t)arena->bytes) < 0)
            continue;
        base = mmap(NULL, arena->bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (base == MAP_FAILED)
            continue;
        /* a worker forked from a program that did not call mu_init() must not
         * inherit a mapping that it can write */
        (void)madvise(base, arena->bytes, MADV_DONTFORK);
        mui_memfd_leave_undumped(base, arena->bytes);
        arena->base = base;
        return 0;
    }
    return mui_fail(err, mui_file_bytes_max() < LARGE ? -EFBIG : -ENOMEM,
                    "pool: address space for inputs");
}

/* Make the descriptor for workers. One that is open for reading only cannot be
 * mapped writable, nor made so by mprotect(). F_SEAL_FUTURE_WRITE would say it to
 * root as well, but then freed memory could not be punched out. */
static int arena_share(struct mui_arena *arena, int fd, struct mu_error *err)
{
    const struct mui_descriptor_path path = mui_descriptor_path(fd);

    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return mui_fail(err, -errno, "pool: seal the memory for inputs");
    arena->read_fd =
        mui_descriptor_above_stdio(open(path.text, O_RDONLY | O_CLOEXEC));
    if (arena->read_fd < 0)
        return mui_fail(err, arena->read_fd,
                        "pool: open %s (is /proc mounted?)", path.text);
    arena->read_mark = mui_descriptor_mark(arena->read_fd);
    return 0;
}

int mui_arena_init(struct mui_arena *arena, bool shared, struct mu_error *err)
{
    int fd;
    int rc;

    *arena = (struct mui_arena){.read_fd = -1};
    (void)pthread_mutex_init(&arena->lock, NULL);
    if (!shared)
        return 0;
    fd = memfd_create("muster-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        rc = mui_fail(err,
                      errno == EPERM ? -ENOSYS : -errno, /* as sys/memfd.c */
                      "pool: memory for inputs (memfd_create())");
    else
        rc = arena_map(arena, fd, err);
    if (rc == 0)
        rc = arena_share(arena, fd, err);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

void mui_arena_fini(struct mui_arena *arena)
{
    if (arena->base)
        (void)munmap(arena->base, arena->bytes);
    /* the program may have closed it, and the number be another's by now */
    if (arena->read_fd >= 0 &&
        mui_descriptor_is(arena->read_fd, &arena->read_mark))
        (void)close(arena->read_fd);
    arena->base = NULL;
    arena->read_fd = -1;
    (void)pthread_mutex_destroy(&arena->lock);
}

static bool is_large(unsigned i_class)
{
    return class_bytes(i_class) >= LARGE;
}

static struct head *head_of(void *memory)
{
    return (struct head *)((char *)memory - HEAD);
}

static void *pop(void **list)
{
    void *memory = *list;

    *list = head_of(memory)->next;
    return memory;
}

static void push(void **list, void *memory)
{
    head_of(memory)->next = *list;
    *list = memory;
}

void *mui_arena_alloc(struct mui_arena *arena, size_t size)
{
    unsigned i_class;
    uint8_t *memory = NULL;

    if (size > SIZE_MAX / 4)
        return NULL;
    if (!arena->base)
        return aligned_alloc(64, (size + 63 + !size) & ~(size_t)63);
    i_class = class_of(size);
    if (i_class >= MUI_ARENA_CLASSES)
        return NULL;
    (void)pthread_mutex_lock(&arena->lock);
    if (arena->free_lists[i_class]) {
        memory = pop(&arena->free_lists[i_class]);
        if (is_large(i_class))
            arena->kept_bytes -= class_bytes(i_class);
    } else if (arena->punched_lists[i_class]) {
        memory = pop(&arena->punched_lists[i_class]);
    } else {
        /* large blocks start a page, of any kernel, so that whole pages can be given
         * back */
        size_t bytes = (class_bytes(i_class) + 63) & ~(size_t)63;
        uint64_t at = bytes >= LARGE
                          ? (arena->top + HEAD + 65535) & ~UINT64_C(65535)
                          : arena->top + HEAD;

        if (bytes <= arena->bytes && at <= arena->bytes - bytes) {
            memory = arena->base + at;
            arena->top = at + bytes;
            head_of(memory)->i_class = i_class;
        }
    }
    (void)pthread_mutex_unlock(&arena->lock);
    return memory;
}

void mui_arena_free(struct mui_arena *arena, void *memory)
{
    unsigned i_class;
    bool keep = true;

    if (!memory)
        return;
    if (!arena->base) {
        free(memory);
        return;
    }
    i_class = (unsigned)head_of(memory)->i_class;
    (void)pthread_mutex_lock(&arena->lock);
    if (is_large(i_class)) {
        keep = arena->kept_bytes + class_bytes(i_class) <= KEEP_MAX;
        arena->kept_bytes += keep ? class_bytes(i_class) : 0;
    }
    if (keep)
        push(&arena->free_lists[i_class], memory);
    (void)pthread_mutex_unlock(&arena->lock);
    if (keep)
        return;
    (void)madvise(memory, class_bytes(i_class), MADV_REMOVE);
    (void)pthread_mutex_lock(&arena->lock);
    push(&arena->punched_lists[i_class], memory);
    (void)pthread_mutex_unlock(&arena->lock);
}

bool mui_arena_holds(struct mui_arena *arena, const void *bytes, size_t size)
{
    uint64_t offset;
    uint64_t top;

    if (!arena->base)
        return true;
    if ((const uint8_t *)bytes < arena->base)
        return false;
    offset = (uint64_t)((const uint8_t *)bytes - arena->base);
    (void)pthread_mutex_lock(&arena->lock);
    top = arena->top;
    (void)pthread_mutex_unlock(&arena->lock);
    return offset <= top && size <= top - offset;
}

uint64_t mui_arena_address(const struct mui_arena *arena, const void *memory)
{
    if (!arena->base)
        return (uint64_t)(uintptr_t)memory;
    return (uint64_t)((const uint8_t *)memory - arena->base);
}
