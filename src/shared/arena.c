/* arena.c: the mapping of an arena, its names and its header.
 *
 * A named arena is made without a name, filled in, and then linked to it, so
 * whoever finds the name finds the whole thing, whenever its maker was killed.
 * An unnamed one is sealed against shrinking, so a peer cannot make this process
 * read beyond its end. */
#include "shared/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/pool.h"
#include "muster/shared.h"

#include "base/error.h"
#include "sys/descriptor.h"
#include "sys/file_limit.h"
#include "sys/populate.h"

#define ARENA_MAGIC     UINT64_C(0x616e657261756d) /* "muarena" */
#define ARENA_VERSION   3
#define ARENA_BYTES_MIN 65536
#define ARENA_NAME_MAX  200
#define ARENA_FOLDER    "/dev/shm"

struct mu_shared {
    char *base;
    size_t size;
    size_t page; /* bytes of one of the pages that back it */
    int fd;
    struct mui_heap_view heap;
};

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static struct mui_arena_header *arena_header(const struct mu_shared *a)
{
    return (struct mui_arena_header *)a->base;
}

static bool is_name(const char *name)
{
    size_t length = name ? strlen(name) : 0;

    if (length == 0 || length > ARENA_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static int name_to_path(const char *name, char *path, size_t path_size,
                        struct mu_error *err)
{
    if (!is_name(name))
        return mui_fail(
            err, -EINVAL,
            "shared: the name \"%.200s\": it takes 1 to %d letters, "
            "digits, '.', '_' and '-'",
            name ? name : "", ARENA_NAME_MAX);
    (void)snprintf(path, path_size, ARENA_FOLDER "/muster.%s", name);
    return 0;
}

/* Check a descriptor's header before it is mapped. */
static int header_check(int fd, struct mui_arena_header *ret,
                        struct mu_error *err)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return mui_fail(err, -errno, "shared: look at the descriptor");
    n = pread(fd, ret, sizeof *ret, 0);
    if (n != (ssize_t)sizeof *ret || ret->magic != ARENA_MAGIC ||
        ret->version != ARENA_VERSION || ret->header_bytes != sizeof *ret ||
        ret->size != (uint64_t)st.st_size || ret->size < ARENA_BYTES_MIN)
        return mui_fail(err, MU_ECORRUPT, "shared: this is no arena");
    return 0;
}

/* No huge page is left. The limits that mui_fail() would ask about are not to blame. */
static int huge_missing(size_t size, size_t page, struct mu_error *err)
{
    mui_error_say(err, 0,
                  "shared: %zu huge pages of %zu KiB are not free: set more "
                  "aside in vm.nr_hugepages (see HugePages_Free in "
                  "/proc/meminfo)",
                  size / page, page / 1024);
    if (err)
        err->code = -ENOMEM;
    return -ENOMEM;
}

/* Map it at `hint` where that is free, anywhere else where not. */
static int arena_map(struct mu_shared *a, uint64_t hint, struct mu_error *err)
{
    int prot = PROT_READ | PROT_WRITE;
    int flags = MAP_SHARED; /* huge pages are set aside here or it fails */
    void *base = MAP_FAILED;

    if (hint != 0)
        base = mmap((void *)(uintptr_t)hint, a->size, prot,
                    flags | MAP_FIXED_NOREPLACE, a->fd, 0);
    if (base == MAP_FAILED)
        base = mmap(NULL, a->size, prot, flags, a->fd, 0);
    if (base == MAP_FAILED && errno == ENOMEM && a->page > page_bytes())
        return huge_missing(a->size, a->page, err);
    if (base == MAP_FAILED)
        return mui_fail(err, -errno, "shared: map %zu bytes", a->size);
    a->base = base;
    return 0;
}

/* Lay it out, when its first pages are there. */
static int arena_fill(struct mu_shared *a, bool must_back)
{
    struct mui_arena_header *h = arena_header(a);
    int rc = mui_populate(h, sizeof *h);

    if (rc != 0)
        return rc;
    h->magic = ARENA_MAGIC;
    h->version = ARENA_VERSION;
    h->header_bytes = sizeof *h;
    h->size = a->size;
    h->base = (uint64_t)(uintptr_t)a->base;
    rc = mui_heap_init(&h->heap, a->base, sizeof *h, a->size, must_back);
    return rc == 0 ? mui_heap_view(&h->heap, a->base, a->size, &a->heap) : rc;
}

static int arena_memfd(const struct mu_shared_options *o, struct mu_error *err)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd;

    if (o->flags & MU_SHARED_HUGE)
        flags |= MFD_HUGETLB;
    fd = mui_descriptor_above_stdio(memfd_create("muster-arena", flags));
    return fd < 0 ? mui_fail(err, fd, "shared: memfd_create") : fd;
}

static int arena_tmpfile(struct mu_error *err)
{
    int fd = mui_descriptor_above_stdio(
        open(ARENA_FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));

    return fd < 0 ? mui_fail(err, fd, "shared: make a file in " ARENA_FOLDER)
                  : fd;
}

/* What is left once it is mapped and filled: its name, or its seals. */
static int arena_publish(const struct mu_shared *a, const char *path,
                         struct mu_error *err)
{
    struct mui_descriptor_path link;

    if (!path) {
        if (fcntl(a->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
            return mui_fail(err, -errno, "shared: seal the memory");
        return 0;
    }
    link = mui_descriptor_path(a->fd);
    if (linkat(AT_FDCWD, link.text, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return mui_fail(err, -errno, "shared: name it %s", path);
    return 0;
}

/* Give the file its size: `bytes`, in whole pages. */
static int arena_grow(struct mu_shared *a, size_t bytes, unsigned flags,
                      struct mu_error *err)
{
    size_t page = page_bytes();
    struct stat st;

    if ((flags & MU_SHARED_HUGE) && fstat(a->fd, &st) == 0)
        page = (size_t)st.st_blksize;
    if (bytes > (size_t)INT64_MAX - page)
        return mui_fail(err, -ENOMEM, "shared: grow to %zu bytes", bytes);
    a->page = page;
    a->size = (bytes + page - 1) / page * page;
    if (a->size > mui_file_bytes_max())
        return mui_fail(err, -EFBIG, "shared: grow to %zu bytes", bytes);
    if (ftruncate(a->fd, (off_t)a->size) < 0)
        return mui_fail(err, -errno, "shared: grow to %zu bytes", bytes);
    return 0;
}

/* path   gets that of the name, where there is one */
static int options_check(const struct mu_shared_options *o, char *path,
                         size_t path_size, struct mu_error *err)
{
    int rc;

    if (o->model && strncmp(o->model, "mpi", 3) == 0)
        return mui_fail(err, MU_EMODEL,
                        "shared: the nodes of \"%s\" share no memory: use a "
                        "channel (muster/channel.h)",
                        o->model);
    rc = o->model ? mu_model_check(o->model, NULL, 0, err) : 0;
    if (rc != 0)
        return rc;
    if (o->flags & ~(MU_SHARED_HUGE | MU_SHARED_PREFAULT))
        return mui_fail(err, -EINVAL, "shared: unknown flags 0x%x", o->flags);
    if (o->name) {
        rc = name_to_path(o->name, path, path_size, err);
        if (rc != 0)
            return rc;
    }
    if (o->name && (o->flags & MU_SHARED_HUGE))
        return mui_fail(err, -EINVAL, "shared: huge pages with a name");
    return 0;
}

static int pages_missing(const struct mu_shared_options *o,
                         struct mu_error *err)
{
    return mui_fail(err, o->name ? -ENOSPC : -ENOMEM, "shared: take pages%s",
                    o->name ? " in " ARENA_FOLDER : "");
}

int mu_shared_new(size_t bytes, const struct mu_shared_options *options,
                  struct mu_shared **ret_arena, struct mu_error *err)
{
    static const struct mu_shared_options defaults;
    const struct mu_shared_options *o = options ? options : &defaults;
    char path[sizeof ARENA_FOLDER + 16 + ARENA_NAME_MAX];
    struct mu_shared *a;
    int rc;

    rc = options_check(o, path, sizeof path, err);
    if (rc != 0)
        return rc;
    a = calloc(1, sizeof *a);
    if (!a)
        return mui_fail(err, -ENOMEM, "shared: open");
    a->fd = o->name ? arena_tmpfile(err) : arena_memfd(o, err);
    if (a->fd < 0) {
        rc = a->fd;
        goto free_handle;
    }
    rc = arena_grow(a, bytes < ARENA_BYTES_MIN ? ARENA_BYTES_MIN : bytes,
                    o->flags, err);
    if (rc == 0)
        rc = arena_map(a, 0, err);
    if (rc != 0)
        goto close_fd;
    if (o->flags & MU_SHARED_PREFAULT)
        rc = mui_populate(a->base, a->size);
    if (rc == 0)
        rc = arena_fill(a, o->name && !(o->flags & MU_SHARED_PREFAULT));
    if (rc != 0) {
        rc = pages_missing(o, err);
        goto unmap;
    }
    rc = arena_publish(a, o->name ? path : NULL, err);
    if (rc != 0)
        goto unmap;
    *ret_arena = a;
    return 0;

unmap:
    (void)munmap(a->base, a->size);
close_fd:
    (void)close(a->fd);
free_handle:
    free(a);
    return rc;
}

/* Map an arena that exists. Takes fd on success. */
static int arena_adopt(int fd, struct mu_shared **ret_arena,
                       struct mu_error *err)
{
    struct mui_arena_header h;
    struct mu_shared *a;
    int rc = header_check(fd, &h, err);

    if (rc != 0)
        return rc;
    a = calloc(1, sizeof *a);
    if (!a)
        return mui_fail(err, -ENOMEM, "shared: open");
    a->fd = fd;
    a->size = (size_t)h.size;
    rc = arena_map(a, h.base, err);
    if (rc != 0)
        goto free_handle;
    rc = mui_heap_view(&arena_header(a)->heap, a->base, a->size, &a->heap);
    if (rc != 0) {
        rc = mui_fail(err, rc, "shared: this is no arena");
        goto unmap;
    }
    *ret_arena = a;
    return 0;

unmap:
    (void)munmap(a->base, a->size);
free_handle:
    free(a);
    return rc;
}

/* Anybody may take a name first, and cut short later what he has made: root, too, opens
 * none but its own. */
static int owner_check(int fd, const char *path, struct mu_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return mui_fail(err, -errno, "shared: open %s", path);
    if (st.st_uid != geteuid())
        return mui_fail(err, -EACCES, "shared: %s is another user's", path);
    return 0;
}

int mu_shared_open(const char *name, struct mu_shared **ret_arena,
                   struct mu_error *err)
{
    char path[sizeof ARENA_FOLDER + 16 + ARENA_NAME_MAX];
    int fd;
    int rc;

    rc = name_to_path(name, path, sizeof path, err);
    if (rc != 0)
        return rc;
    fd =
        mui_descriptor_above_stdio(open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (fd < 0)
        return mui_fail(err, fd, "shared: open %s", path);
    rc = owner_check(fd, path, err);
    if (rc == 0)
        rc = arena_adopt(fd, ret_arena, err);
    if (rc != 0)
        (void)close(fd);
    return rc;
}

int mu_shared_attach(int fd, struct mu_shared **ret_arena, struct mu_error *err)
{
    int seals = fcntl(fd, F_GET_SEALS);
    int own;
    int rc;

    if (seals < 0 && errno == EBADF)
        return mui_fail(err, -EBADF, "shared: the descriptor %d", fd);
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return mui_fail(err, -EPERM, "shared: memory without a seal");
    own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return mui_fail(err, -errno, "shared: duplicate the descriptor");
    rc = arena_adopt(own, ret_arena, err);
    if (rc != 0)
        (void)close(own);
    return rc;
}

int mu_shared_unlink(const char *name)
{
    char path[sizeof ARENA_FOLDER + 16 + ARENA_NAME_MAX];
    int rc = name_to_path(name, path, sizeof path, NULL);

    if (rc != 0)
        return rc;
    return unlink(path) < 0 ? -errno : 0;
}

void mu_shared_close(struct mu_shared *arena)
{
    if (!arena)
        return;
    (void)munmap(arena->base, arena->size);
    (void)close(arena->fd);
    free(arena);
}

int mu_shared_fd(const struct mu_shared *arena)
{
    return arena->fd;
}

size_t mu_shared_size(const struct mu_shared *arena)
{
    return arena->size;
}

int mu_shared_alloc_within(struct mu_shared *arena, size_t bytes,
                           int64_t deadline, void **ret_memory)
{
    uint64_t offset;
    int rc = mui_heap_take(&arena->heap, bytes, deadline, &offset);

    if (rc == 0)
        *ret_memory = arena->base + offset;
    return rc;
}

void *mu_shared_alloc(struct mu_shared *arena, size_t bytes)
{
    void *memory;

    return mu_shared_alloc_within(arena, bytes, MU_NEVER, &memory) == 0 ? memory
                                                                        : NULL;
}

int mu_shared_free_within(struct mu_shared *arena, void *memory,
                          int64_t deadline)
{
    if (!memory)
        return 0;
    return mui_heap_give(&arena->heap, mu_shared_offset(arena, memory),
                         deadline);
}

int mu_shared_free(struct mu_shared *arena, void *memory)
{
    return mu_shared_free_within(arena, memory, MU_NEVER);
}

int mu_shared_available_within(struct mu_shared *arena, int64_t deadline,
                               size_t *ret_bytes, size_t *ret_largest_bytes)
{
    uint64_t all;
    uint64_t largest;
    int rc = mui_heap_free_bytes(&arena->heap, deadline, &all, &largest);

    if (rc != 0)
        return rc;
    *ret_bytes = (size_t)all;
    if (ret_largest_bytes)
        *ret_largest_bytes = (size_t)largest;
    return 0;
}

size_t mu_shared_available(struct mu_shared *arena, size_t *ret_largest_bytes)
{
    size_t bytes;

    if (mu_shared_available_within(arena, MU_NEVER, &bytes,
                                   ret_largest_bytes) == 0)
        return bytes;
    if (ret_largest_bytes)
        *ret_largest_bytes = 0;
    return 0;
}

uint64_t mu_shared_offset(const struct mu_shared *arena, const void *memory)
{
    uintptr_t at = (uintptr_t)memory;
    uintptr_t base = (uintptr_t)arena->base;

    return at > base && at - base < arena->size ? at - base : 0;
}

void *mu_shared_at(const struct mu_shared *arena, uint64_t offset, size_t size)
{
    if (offset == 0 || offset >= arena->size || size > arena->size - offset)
        return NULL;
    return arena->base + offset;
}

void mu_shared_set_root(struct mu_shared *arena, const void *memory)
{
    /* pairs with mu_shared_root(): what it points to comes before it */
    atomic_store_explicit(&arena_header(arena)->root,
                          mu_shared_offset(arena, memory),
                          memory_order_release);
}

void *mu_shared_root(const struct mu_shared *arena)
{
    /* pairs with mu_shared_set_root() */
    return mu_shared_at(
        arena,
        atomic_load_explicit(&arena_header(arena)->root, memory_order_acquire),
        0);
}
