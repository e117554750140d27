/* shared.h: memory that every worker sees, whatever it is.
 *
 *     struct mu_shared *arena;
 *     struct table *table;
 *
 *     if (mu_shared_new(1 << 30, NULL, &arena, NULL) < 0)
 *         return 1;
 *     table = mu_shared_alloc(arena, sizeof *table);
 *     memset(table, 0, sizeof *table);
 *     ... mu_init(), and start workers: threads, or processes forked from here on ...
 *     if (mu_mutex_lock(&table->lock, MU_NEVER) < 0)
 *         return 1;
 *
 * An arena is one mapping with an allocator in it. Its pointers are valid in the
 * process that made it and in all processes forked after it; a process that
 * opens it by name or descriptor gets the same addresses where they are still
 * free there, and goes by offsets where not. The memory is given to the machine
 * again when the last process has closed it and its name is unlinked.
 *
 * So make it before mu_init(): workers of `processes` are forked from what mu_init()
 * made of this program, and an arena that is younger is not there in them: its pointers
 * crash, or lead to whatever else lies at their address. What a task can do then is
 * mu_shared_open() by name, and mu_shared_root(). Of one that is older, tasks have the
 * memory but not the descriptor: mu_shared_fd() names nothing there, or something else.
 *
 * By name it may be shared between containers, too, that have one /dev/shm. Locks in it,
 * and its allocator, see the death of a holder in their own PID namespace alone: see
 * muster/lock.h.
 *
 * The allocator survives a kill at any instruction: at most the one block that
 * the dead process was about to get or give is lost. It trusts nothing that it
 * reads from the arena, but whoever maps it can write to all of it: share one
 * only with those who may.
 *
 * Between the nodes of a cluster no memory is shared: see muster/channel.h. */
#ifndef MUSTER_SHARED_H
#define MUSTER_SHARED_H

#include "muster/base.h"
#include "muster/lock.h"

MU_BEGIN_DECLS

struct mu_shared;

/* Back it with huge pages (2 MiB on most machines). They have to be set aside in
 * vm.nr_hugepages; without enough of them mu_shared_new() fails. Unnamed only. */
#define MU_SHARED_HUGE 0x1u
/* Touch every page now, so that no later access waits for one. */
#define MU_SHARED_PREFAULT 0x2u

/* {0} is every default; new fields go to the end. */
struct mu_shared_options {
    /* A name by which other processes open it: letters, digits, '.', '_', '-', 200 at most.
     * NULL: no name; it is inherited or passed as a descriptor. */
    const char *name;
    unsigned flags; /* MU_SHARED_... */
    /* The model of the workers who have to see it, where one is known. */
    const char *model;
};

/* Make an arena. Its pages are taken as it is used. Of one with a name, which lies in
 * /dev/shm, all pages of a block are taken before mu_shared_alloc() gives it: where there
 * are none left that is an answer, and what was given can be written. Of one without, each
 * is taken when it is first touched, as with malloc(): where the machine or the control
 * group has no more memory, the kernel kills then, and where vm.overcommit_memory is 2 by
 * SIGBUS; MU_SHARED_PREFAULT gets -ENOMEM instead.
 * bytes     its size, rounded up to pages, at least 64 KiB
 * options   NULL for every default; borrowed
 * Returns   0; MU_EMODEL when workers of options.model share no memory, or there is no
 *           such model; -EEXIST when the name is in use; -EINVAL for a bad name or an
 *           unknown flag; -EFBIG above RLIMIT_FSIZE (ulimit -f); -ENOSPC: /dev/shm is full;
 *           -ENOMEM; -errno
 * Threads   any
 * Models    all but those with an mpi layer */
MU_API MU_NODISCARD int mu_shared_new(size_t bytes,
                                      const struct mu_shared_options *options,
                                      struct mu_shared **ret_arena,
                                      struct mu_error *err);

/* Open the arena that another process of this user made under this name. Whoever may
 * open it can also cut it short, which crashes its readers: names are for processes of
 * one user that trust each other.
 * Returns   0; -ENOENT; -EINVAL for a bad name; -EACCES when it is another user's, also
 *           for root; MU_ECORRUPT when it is no arena; -errno */
MU_API MU_NODISCARD int mu_shared_open(const char *name,
                                       struct mu_shared **ret_arena,
                                       struct mu_error *err);

/* Open an unnamed arena from a descriptor that was passed to this process.
 * fd        from mu_shared_fd() in another process; borrowed, and duplicated
 * Returns   0; MU_ECORRUPT when it is no arena; -EPERM when it could be cut short
 *           under us; -errno */
MU_API MU_NODISCARD int mu_shared_attach(int fd, struct mu_shared **ret_arena,
                                         struct mu_error *err);

/* Take the name away. Those who have it open keep it. Returns 0; -errno. */
MU_API int mu_shared_unlink(const char *name);

/* Unmap it in this process. Accepts NULL. */
MU_API void mu_shared_close(struct mu_shared *arena);

/* The descriptor to pass on; lent until close. Not in a task of `processes`, which has
 * none of the program's. */
MU_API int mu_shared_fd(const struct mu_shared *arena);
MU_API size_t mu_shared_size(const struct mu_shared *arena);

/* Take memory from the arena.
 * Returns   64-byte aligned, uninitialised; NULL when there is none, of an arena with a
 *           name also when /dev/shm is full, or when the arena was damaged beyond repair
 * Context   task or thread; may block on others who allocate
 * Threads   any, in any process
 * Progress  blocking; O(1), and with a name O(bytes) for what was never in use; O(free
 *           blocks of about that size) when none is free that is clearly larger, also to
 *           find that there is none; O(blocks) once after a process died in it */
MU_API void *mu_shared_alloc(struct mu_shared *arena, size_t bytes);

/* Give it back, from any process. Accepts NULL.
 * Returns   0; -EINVAL when it is no block in use; MU_ECORRUPT */
MU_API int mu_shared_free(struct mu_shared *arena, void *memory);

/* The bytes that are free now, in all and in the largest block; 0 of an arena that is
 * damaged. */
MU_API size_t mu_shared_available(struct mu_shared *arena,
                                  size_t *ret_largest_bytes);

/* The same with a deadline, for when somebody who allocates is stopped in it; who dies
 * there does not keep the others.
 * Returns   as above; -ENOMEM where mu_shared_alloc() says NULL; MU_TIMEOUT: nothing was
 *           done */
MU_API MU_NODISCARD int mu_shared_alloc_within(struct mu_shared *arena,
                                               size_t bytes, int64_t deadline,
                                               void **ret_memory);
MU_API MU_NODISCARD int mu_shared_free_within(struct mu_shared *arena,
                                              void *memory, int64_t deadline);
MU_API MU_NODISCARD int mu_shared_available_within(struct mu_shared *arena,
                                                   int64_t deadline,
                                                   size_t *ret_bytes,
                                                   size_t *ret_largest_bytes);

/* Where memory of this arena lies in it, the same in every process.
 * Returns   0 for NULL and for what does not lie in it */
MU_API uint64_t mu_shared_offset(const struct mu_shared *arena,
                                 const void *memory);
/* The address here of [size] bytes at that offset.
 * Returns   NULL for 0 and for what is not wholly inside */
MU_API void *mu_shared_at(const struct mu_shared *arena, uint64_t offset,
                          size_t size);

/* One address that all users of the arena find: where they start to look. */
MU_API void mu_shared_set_root(struct mu_shared *arena, const void *memory);
MU_API void *mu_shared_root(const struct mu_shared *arena);

MU_END_DECLS

#endif
