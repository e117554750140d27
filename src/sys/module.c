/* module.c: functions as (module, offset).
 *
 * The table of modules is a sparse memfd of one page an entry. Only the supervisor
 * writes it, under `lock`, and publishes an entry by a release store of `n`; entries
 * never change. Children read it.
 *
 * A module is known by what is mapped (/proc/self/maps), not by what has its name: a
 * file that is replaced while it is loaded stays what it was for those that have it
 * mapped, and who has not must not take the other for it.
 *
 * Where a module lies in *this* process stands in `here`, which fork() copies. Who decodes
 * sees only what is whole: the linker lists a library that another thread is loading
 * before the addresses in it are set, so one that was only listed is first held, by a call
 * that waits for the linker's lock.
 * A module whose function was encoded is pinned by a reference of ours, so that
 * its codes, and the addresses that a thread remembers, stay true even if the host
 * closes it. The pinned ones stand in a row by their addresses. Who pins one more makes
 * another row and then publishes it; a row that can be read never changes, and is kept.
 * So a reader is wait-free, and a child forked at any instruction has a whole row.
 *
 *   A  store table->n (release), add_entry()  ->  load (acquire), n_entries()
 *   B  store here.known (release), set_here() ->  load (acquire), is_known()
 *   C  store pinned (release), add_pinned()   ->  load (acquire), find_pinned()
 *
 * Fork: a child has a lock of its own. What another thread wrote under the parent's is
 * whole for it: what is read is published last, and what is not is written again. The
 * table is the parent's, which goes on writing it: a child that is to write, for it
 * becomes a supervisor, first puts a copy in its place, of what was published by then. */
#include "sys/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/descriptor.h"
#include "sys/forked.h"
#include "sys/memfd.h"
#include "sys/object.h"

enum { PAGE = 4096, OFFSET_BITS = 48, N_RECENT = 8 };

struct module_entry {
    struct mui_mapped mapped;
    /* what stat() said of the path when it was entered; 0: it named nothing, or
     * another file */
    uint64_t device;
    uint64_t inode;
};

struct module_table {
    _Atomic uint32_t n;
    unsigned char unused[PAGE - 4];
    struct module_entry entries[MUI_MODULES_MAX];
};

_Static_assert(sizeof(struct module_entry) == PAGE, "an entry is a page");

/* Where a module of the table lies in this process. Written under `lock`. */
struct module_here {
    _Atomic bool known;
    uint64_t n_loads; /* as struct mui_object has it */
    _Atomic uintptr_t base;
    _Atomic uintptr_t start;
    _Atomic uintptr_t end;
};

/* Pinned modules by their addresses. */
struct row {
    const struct row *before; /* readers may be at it */
    uint32_t n;
    uint16_t modules[];
};

/* Never held where the linker's own lock is taken, by dlopen() and the like: who loads a
 * library has that one, and its constructor may come here. Recursive, as
 * mui_forked_renew_lock() makes it. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static _Thread_local bool is_loading;
static struct module_table *_Atomic table;
static int table_fd = -1;
static struct mui_descriptor_mark table_mark;
static uint32_t table_forked; /* whose table it is: see sys/forked.h */
static bool read_only;
static struct module_here here[MUI_MODULES_MAX];
static _Atomic(const struct row *) pinned; /* NULL: none */
/* Loads of this process, ever, when all was last looked at: but for what we loaded
 * ourselves since; 0: look again. Under `lock`. */
static uint64_t n_seen;
/* Of the table, what mui_module_load_all() is not to load any more: what the supervisor had
 * loaded, be it closed since, and what was tried. One thread. */
static uint32_t n_tried;

/* What this thread encoded lately: pinned modules only, so it never goes stale. */
static _Thread_local struct {
    const void *address;
    uint64_t code;
} recent[N_RECENT] __attribute__((tls_model("initial-exec")));

/* -- the table -- */

static struct module_table *the_table(void)
{
    /* acquire, pairs with mui_module_init(): the mapping is complete */
    return atomic_load_explicit(&table, memory_order_acquire);
}

static uint32_t n_entries(const struct module_table *t)
{
    /* A, pairs with add_entry() */
    uint32_t n = atomic_load_explicit(&t->n, memory_order_acquire);

    return n < MUI_MODULES_MAX ? n : MUI_MODULES_MAX;
}

static int add_entry(struct module_table *t, const struct mui_object *object)
{
    const struct mui_mapped *mapped = &object->mapped;
    uint32_t n = n_entries(t);
    struct stat st = {.st_dev = 0};

    if (read_only)
        return -EINVAL;
    if (n == MUI_MODULES_MAX)
        return -ENOSPC;
    if (!object->is_deleted)
        (void)stat(mapped->path, &st);
    t->entries[n].mapped.device = mapped->device;
    t->entries[n].mapped.inode = mapped->inode;
    strcpy(t->entries[n].mapped.path, mapped->path);
    t->entries[n].device = st.st_dev;
    t->entries[n].inode = st.st_ino;
    /* A, pairs with n_entries(): the entry comes before its number */
    atomic_store_explicit(&t->n, n + 1, memory_order_release);
    return (int)n;
}

static int find_entry(const struct module_table *t,
                      const struct mui_mapped *mapped)
{
    uint32_t n = n_entries(t);

    for (uint32_t i = 0; i < n; i++)
        if (mui_mapped_is_same(&t->entries[i].mapped, mapped))
            return (int)i;
    return -ENOENT;
}

/* -- where modules lie in this process -- */

static bool is_known(unsigned i)
{
    /* B, pairs with set_here() */
    return atomic_load_explicit(&here[i].known, memory_order_acquire);
}

static uintptr_t start_of(unsigned i)
{
    /* relaxed: published by `pinned` or `known` */
    return atomic_load_explicit(&here[i].start, memory_order_relaxed);
}

static uintptr_t end_of(unsigned i)
{
    /* relaxed: the same */
    return atomic_load_explicit(&here[i].end, memory_order_relaxed);
}

static uint64_t code_of(unsigned i, const void *address)
{
    /* relaxed: published by `pinned` or `known` */
    return (uint64_t)i << OFFSET_BITS |
           ((uintptr_t)address -
            atomic_load_explicit(&here[i].base, memory_order_relaxed));
}

/* -- modules that are pinned -- */

/* The pinned module around an address, or -ENOENT. Any thread. */
static int find_pinned(uintptr_t address)
{
    /* C, pairs with add_pinned() */
    const struct row *row = atomic_load_explicit(&pinned, memory_order_acquire);
    uint32_t first = 0; /* that begins above it */
    unsigned i;

    for (uint32_t end = row ? row->n : 0; first < end;) {
        uint32_t middle = (first + end) / 2;

        if (start_of(row->modules[middle]) <= address)
            first = middle + 1;
        else
            end = middle;
    }
    if (first == 0)
        return -ENOENT;
    i = row->modules[first - 1];
    return address < end_of(i) ? (int)i : -ENOENT;
}

static bool is_pinned(unsigned i)
{
    return is_known(i) && find_pinned(start_of(i)) == (int)i;
}

/* 0 or -ENOMEM. Under `lock`. */
static int add_pinned(unsigned i)
{
    /* relaxed: written under `lock` */
    const struct row *old = atomic_load_explicit(&pinned, memory_order_relaxed);
    uint32_t n = old ? old->n : 0;
    uint32_t at = 0;
    struct row *new = malloc(sizeof *new + (n + 1) * sizeof *new->modules);

    if (!new)
        return -ENOMEM;
    new->before = old;
    new->n = n + 1;
    while (at < n && start_of(old->modules[at]) < start_of(i)) {
        new->modules[at] = old->modules[at];
        at++;
    }
    new->modules[at] = (uint16_t)i;
    for (; at < n; at++)
        new->modules[at + 1] = old->modules[at];
        /* C, pairs with find_pinned(): the row comes before its address */
#ifdef BUG_MODULE_RELAXED
    atomic_store_explicit(&pinned, new, memory_order_relaxed);
#else
    atomic_store_explicit(&pinned, new, memory_order_release);
#endif
    return 0;
}

/* -- what is loaded -- */

static void set_here(unsigned i, const struct mui_object *object)
{
    if (is_pinned(i))
        return;
    here[i].n_loads = object->n_loads;
    /* relaxed: published by `known`; an object that moved was not pinned, and
     * then no code of it is in use */
    atomic_store_explicit(&here[i].base, object->base, memory_order_relaxed);
    atomic_store_explicit(&here[i].start, object->start, memory_order_relaxed);
    atomic_store_explicit(&here[i].end, object->end, memory_order_relaxed);
    /* B, pairs with is_known(): the range comes before it */
    atomic_store_explicit(&here[i].known, true, memory_order_release);
}

/* The module that lies where an object does, with nothing loaded since that could have
 * taken its place, or -ENOENT. Under `lock`. */
static int find_here(const struct module_table *t,
                     const struct mui_object *object)
{
    uint32_t n = n_entries(t);

    for (uint32_t i = 0; i < n; i++)
        if (is_known(i) && here[i].n_loads == object->n_loads &&
            start_of(i) == object->start)
            return (int)i;
    return -ENOENT;
}

/* A reference that keeps an object loaded. By the linker's own name: that finds what is
 * loaded, whatever file has the name by now. NULL: it is the program, which stays anyway,
 * or is not found. Waits for who loads it just now. Not under `lock`. */
static void *hold(const struct mui_object *object)
{
    return object->name[0] ? dlopen(object->name, RTLD_LAZY | RTLD_NOLOAD)
                           : NULL;
}

/* Keep an object that was seen loaded. Returns false where its load failed in the end, or
 * it is gone, or lies elsewhere. Not under `lock`. */
static bool keep(const struct mui_object *object)
{
    void *handle = hold(object);
    struct link_map *map;

    if (!object->name[0])
        return true;
    if (handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 &&
        map->l_addr == object->base)
        return true;
    if (handle)
        (void)dlclose(handle);
    return false;
}

/* Put every loaded object into the table, so that frames in it can be named, and note
 * where it lies. One that another thread loads just now may not be whole yet: nobody has
 * a code of it to decode. Under `lock`. */
static int enter_all(struct module_table *t)
{
    struct mui_object *objects;
    size_t n;
    int rc = mui_objects_list(NULL, &objects, &n);

    if (rc < 0)
        return rc;
    rc = mui_objects_identify(objects, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        int i_module;

        if (!objects[i].mapped.path[0])
            continue;
        i_module = find_entry(t, &objects[i].mapped);
        if (i_module < 0)
            i_module = add_entry(t, &objects[i]);
        if (i_module >= 0)
            set_here((unsigned)i_module, &objects[i]);
    }
    if (rc == 0 && n)
        n_seen = objects[0].n_loads;
    free(objects);
    return rc;
}

/* Note where a module of the table lies here, if the object is one, and this was not
 * known. Not under `lock`. */
static void find_object(const struct module_table *t,
                        const struct mui_object *object)
{
    int i = object->mapped.path[0] ? find_entry(t, &object->mapped) : -ENOENT;

    if (i < 0 ||
        (is_known((unsigned)i) && start_of((unsigned)i) == object->start))
        return;
    /* the linker lists what another thread loads before the addresses in it are set */
    if (!keep(object))
        return;
    pthread_mutex_lock(&lock);
    set_here((unsigned)i, object);
    pthread_mutex_unlock(&lock);
}

/* The same for all that is loaded. Not under `lock`. */
static int find_all(const struct module_table *t)
{
    struct mui_object *objects;
    size_t n;
    int rc = mui_objects_list(NULL, &objects, &n);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&lock);
    rc = mui_objects_identify(objects, n);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; rc == 0 && i < n; i++)
        find_object(t, &objects[i]);
    pthread_mutex_lock(&lock);
    if (rc == 0 && n)
        n_seen = objects[0].n_loads;
    pthread_mutex_unlock(&lock);
    free(objects);
    return rc;
}

/* -- making the table -- */

/* An empty one, which nobody can map writable again. Returns the descriptor. */
static int open_table(struct module_table **ret_table, struct mu_error *err)
{
    void *base;
    int rc;
    int fd = mui_memfd_open("muster-modules", sizeof(struct module_table));

    if (fd < 0)
        return mui_fail(err, fd,
                        "memory to share with worker processes "
                        "(memfd_create())");
    rc = mui_memfd_map(fd, sizeof(struct module_table), PROT_READ | PROT_WRITE,
                       0, &base);
    if (rc == 0) {
        rc = mui_memfd_seal_writes(fd);
        if (rc < 0)
            (void)munmap(base, sizeof(struct module_table));
    }
    if (rc < 0) {
        (void)close(fd);
        return mui_fail(err, rc, "memory to share with worker processes");
    }
    *ret_table = base;
    return fd;
}

static void own_table(int fd)
{
    table_fd = fd;
    table_mark = mui_descriptor_mark(fd);
    table_forked = mui_forked();
}

static int make_table(struct mu_error *err)
{
    struct module_table *new;
    int fd = open_table(&new, err);

    if (fd < 0)
        return fd;
    own_table(fd);
    /* where it fails it is made up for by the first to encode */
    (void)enter_all(new);
    /* release, pairs with the_table() */
    atomic_store_explicit(&table, new, memory_order_release);
    return 0;
}

/* In the same place: readers find there what they found before, and what was lent stays.
 * Under `lock`. */
static int copy_table(struct module_table *t, struct mu_error *err)
{
    uint32_t n = n_entries(t);
    struct module_table *copy;
    int fd = open_table(&copy, err);

    if (fd < 0)
        return fd;
    memcpy(copy->entries, t->entries, n * sizeof *t->entries);
    /* A, pairs with n_entries() */
    atomic_store_explicit(&copy->n, n, memory_order_release);
    if (mremap(copy, sizeof *copy, sizeof *copy, MREMAP_MAYMOVE | MREMAP_FIXED,
               t) == MAP_FAILED) {
        int rc = mui_fail(err, -errno, "map the table of modules");

        (void)munmap(copy, sizeof *copy);
        (void)close(fd);
        return rc;
    }
    if (mui_descriptor_is(table_fd, &table_mark))
        (void)close(table_fd);
    own_table(fd);
    return 0;
}

static void renew_lock_in_child(void)
{
    mui_forked_renew_lock(&lock);
}

int mui_module_init(struct mu_error *err)
{
    static _Atomic bool heeds_forks;
    struct module_table *t;
    int rc = 0;

    mui_forked_heed(&heeds_forks, renew_lock_in_child);
    pthread_mutex_lock(&lock);
    t = the_table();
    if (!t)
        rc = make_table(err);
    else if (!read_only && table_forked != mui_forked())
        rc = copy_table(t, err);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* What was loaded here when somebody looked may be gone, another may lie in its place, or a
 * task that has a handle from the host may close it: what is found again is held, and all
 * else not known. One thread. */
static void keep_known(const struct module_table *t)
{
    struct mui_object *objects = NULL;
    bool kept[MUI_MODULES_MAX] = {false};
    size_t n = 0;

    (void)mui_objects_list(NULL, &objects, &n);
    for (size_t i = 0; i < n; i++) {
        int i_module = find_here(t, &objects[i]);

        if (i_module >= 0)
            kept[i_module] = keep(&objects[i]);
    }
    free(objects);
    for (unsigned i = 0; i < n_entries(t); i++) {
        if (!is_known(i))
            continue; /* the supervisor has loaded it meanwhile */
        n_tried = i + 1;
        if (kept[i] || is_pinned(i))
            continue;
        /* relaxed: one thread */
        atomic_store_explicit(&here[i].known, false, memory_order_relaxed);
        n_seen = 0; /* to look at all when one is wanted */
    }
}

int mui_module_seal_in_child(void)
{
    /* a mapping made after the seal can never be made writable again */
    if (read_only)
        return 0;
    if (mmap(the_table(), sizeof(struct module_table), PROT_READ,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE, table_fd, 0) == MAP_FAILED)
        return -errno;
    (void)close(table_fd);
    table_fd = -1;
    read_only = true;
    keep_known(the_table());
    return 0;
}

/* -- functions -- */

/* The module of a loaded object, whose file is looked for only where it may be another
 * than it was. Under `lock`. */
static int find_module(struct module_table *t, struct mui_object *object)
{
    int i = find_here(t, object);
    int rc;

    if (i >= 0)
        return i;
    rc = mui_objects_identify(object, 1);
    if (rc < 0)
        return rc;
    if (!object->mapped.path[0])
        return -EINVAL;
    i = find_entry(t, &object->mapped);
    if (i < 0) {
        i = add_entry(t, object);
        if (i >= 0)
            (void)enter_all(t); /* what it brought with it */
    }
    if (i >= 0)
        set_here((unsigned)i, object);
    return i;
}

/* Pin the module of an object for as long as the process lives: *held is its reference,
 * and NULL once that is kept. Under `lock`. */
static int encode_slowly(struct module_table *t, struct mui_object *object,
                         const void *address, void **held, uint64_t *ret_code)
{
    int i = 0;

    /* the program is the first that is loaded, so module 0 */
    if (n_entries(t) == 0)
        i = enter_all(t);
    if (i == 0)
        i = find_module(t, object);
    if (i < 0)
        return i;
    *ret_code = code_of((unsigned)i, address);
    if (is_pinned((unsigned)i) || (i != 0 && !*held))
        return 0;
    *held = NULL;
    return add_pinned((unsigned)i);
}

/* The same, of what is not known to be pinned. */
static int encode_new(const void *address, uint64_t *ret_code)
{
    struct mui_object *object = NULL;
    void *held;
    size_t n;
    int rc = mui_module_init(NULL);

    if (rc == 0)
        rc = mui_objects_list(address, &object, &n);
    if (rc < 0)
        return rc;
    if (n == 0) {
        free(object);
        return -EINVAL;
    }
    held = hold(object);
    pthread_mutex_lock(&lock);
    rc = encode_slowly(the_table(), object, address, &held, ret_code);
    pthread_mutex_unlock(&lock);
    if (held)
        (void)dlclose(held);
    free(object);
    return rc;
}

int mui_module_encode(const void *address, uint64_t *ret_code)
{
    /* functions are aligned to 16 bytes */
    size_t i = ((uintptr_t)address >> 4) % N_RECENT;
    int i_module;

    if (!address)
        return -EINVAL;
    if (recent[i].address == address) {
        *ret_code = recent[i].code;
        return 0;
    }
    i_module = find_pinned((uintptr_t)address);
    if (i_module >= 0) {
        recent[i].address = address;
        recent[i].code = code_of((unsigned)i_module, address);
        *ret_code = recent[i].code;
        return 0;
    }
    return encode_new(address, ret_code);
}

/* A library that we have just loaded, without a look at all the others: of many, each
 * would take as long as they are many. What it brought with it is loaded again when it
 * is wanted, which finds it. */
static void note_loaded(struct module_table *t, unsigned i, void *handle)
{
    struct link_map *map;
    struct mui_object *object;
    size_t n;

    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) < 0 || !map->l_ld ||
        mui_objects_list(map->l_ld, &object, &n) < 0)
        return;
    if (n == 1 && mui_objects_identify(object, 1) == 0 &&
        find_entry(t, &object->mapped) == (int)i)
        set_here(i, object);
    free(object);
}

/* 0: module i is among all that is loaded. Not under `lock`. */
static int look_for(const struct module_table *t, unsigned i)
{
    int rc = find_all(t);

    if (rc < 0)
        return rc;
    return is_known(i) ? 0 : -ELIBACC;
}

/* Whether another file has the name of a module by now: it would put something else at
 * the offset. */
static bool is_replaced(const struct module_entry *entry)
{
    struct stat st;

    return !entry->inode || stat(entry->mapped.path, &st) < 0 ||
           st.st_dev != entry->device || st.st_ino != entry->inode;
}

/* Whole, in the nursery: what is bound when it is first called every new worker would
 * bind anew, 50 us a function. One that lacks something that no task calls does all the
 * same. Not under `lock`. */
static void *load_file(const char *path)
{
    void *handle;

    is_loading = true;
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    is_loading = false;
    return handle;
}

/* Make module i present here. Not under `lock`. */
static int load(struct module_table *t, unsigned i)
{
    const struct module_entry *entry = &t->entries[i];
    uint64_t n_loads = mui_objects_count_loads();
    bool is_seen;
    void *handle;
    int rc = 0;

    pthread_mutex_lock(&lock);
    is_seen = n_loads == n_seen;
    pthread_mutex_unlock(&lock);
    if (!is_known(i) && !is_seen)
        rc = find_all(t);
    if (!is_known(i) && rc == 0 && is_replaced(entry))
        rc = look_for(t, i);
    if (is_known(i) || rc < 0)
        return is_known(i) ? 0 : rc;
    handle = load_file(entry->mapped.path);
    if (!handle)
        return -ELIBACC;
    pthread_mutex_lock(&lock);
    note_loaded(t, i, handle);
    if (n_loads == n_seen)
        n_seen = mui_objects_count_loads();
    pthread_mutex_unlock(&lock);
    /* it may have been replaced since we looked */
    return is_known(i) ? 0 : look_for(t, i);
}

int mui_module_decode(uint64_t code, void **ret_address)
{
    struct module_table *t = the_table();
    unsigned i = (unsigned)(code >> OFFSET_BITS);
    uintptr_t offset = (uintptr_t)(code & ((UINT64_C(1) << OFFSET_BITS) - 1));
    uintptr_t base;
    int rc = 0;

    if (!t || i >= n_entries(t))
        return -ENOENT;
    if (!is_known(i))
        rc = load(t, i);
    if (rc < 0)
        return rc;
    /* relaxed: published by `known` */
    base = atomic_load_explicit(&here[i].base, memory_order_relaxed);
    if (base + offset < start_of(i) || base + offset >= end_of(i))
        return -EINVAL;
    *ret_address = (void *)(base + offset);
    return 0;
}

void mui_module_load_all(void)
{
    struct module_table *t = the_table();

    if (t && n_seen == 0)
        (void)find_all(t);
    for (; t && n_tried < n_entries(t); n_tried++)
        (void)load(t, n_tried);
}

bool mui_module_is_loading(void)
{
    return is_loading;
}

int mui_module_locate(const void *address, uint64_t *ret_code)
{
    const struct module_table *t = the_table();
    uint32_t n = t ? n_entries(t) : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (is_known(i) && (uintptr_t)address >= start_of(i) &&
            (uintptr_t)address < end_of(i)) {
            *ret_code = code_of(i, address);
            return 0;
        }
    }
    return -EINVAL;
}

const char *mui_module_path(unsigned i_module)
{
    const struct module_table *t = the_table();

    return t && i_module < n_entries(t) ? t->entries[i_module].mapped.path
                                        : NULL;
}
