/* lock.h: locks that are the same between threads and between processes.
 *
 * Each lies wherever its users can reach it: in a global for threads, in an
 * arena (muster/shared.h) or any other shared mapping for processes. All bytes
 * 0 is a lock in its first state; those that start from a number have an init.
 * Nothing has to be given back. None holds a pointer, so each may be mapped at
 * a different address in every process.
 *
 * A holder that dies is reported: who gets the lock next is told MU_OWNER_DIED,
 * holds it, and repairs what it protects. That works for mutex, read-write lock
 * and once, whose words name their holder. It is seen as soon again as one has
 * waited, within a second at most, and survives a kill at any instruction.
 * No holder that lives is taken for dead: where that is in doubt its lock stays held. So
 * a death is seen by those of its PID namespace only, and where /proc is mounted; by
 * others wait with a deadline. Namespaces are told apart by the low 21 bits of their
 * numbers, by 17 where several processes read together: the kernel gives out the lowest
 * that is free, about 75 of them for a container, so that two are equal there only on a
 * machine with thousands of containers, and then once in 131,072 pairs.
 * Semaphores, conditions, barriers, latches and counters have no holder; wait for
 * them with a deadline if those who should act may die.
 *
 * Each is one word, of which one half at most is a futex: nothing else is waited on, but
 * the words of those who read together, by a writer.
 *
 *     semaphore, condition, barrier, latch    4 bytes
 *     mutex, once: the word names its holder  8
 *     counter: 63 bits of number              8
 *     read-write lock                       256: its word, and who reads together
 *
 * Every deadline is absolute, see mu_now_ns(): MU_NOW tries, MU_NEVER waits.
 * A waiting thread sleeps; it looks whether the holder lives once a second, and
 * uses no CPU besides.
 *
 * Context of all: task or thread; not in a signal handler. A holder is a thread. Mutex,
 * read-write lock and once look into /proc to name theirs: a task that uses one crashes
 * under MU_SANDBOX_PURE, and with mu_pool_options.read_paths that leave out /proc. */
#ifndef MUSTER_LOCK_H
#define MUSTER_LOCK_H

#include "muster/base.h"

MU_BEGIN_DECLS

/* One holder at a time. 0 is free; else the holder, and whether somebody sleeps. The
 * futex is its low half. */
struct mu_mutex {
    uint64_t word;
};

/* Take the mutex.
 * Returns   0; MU_OWNER_DIED: it is yours, and its last holder died in it;
 *           MU_TIMEOUT; -EDEADLK when this thread holds it already
 * Progress  blocking; one atomic operation when it is free
 * Models    all that share memory */
MU_API MU_NODISCARD int mu_mutex_lock(struct mu_mutex *m, int64_t deadline);

/* Let go. Returns 0; -EPERM when this thread does not hold it. */
MU_API int mu_mutex_unlock(struct mu_mutex *m);

/* The number of processes that may read at once beside the first; a reader of one more
 * waits. */
#define MU_RWLOCK_PROCESSES 31

/* One writer, or readers: up to 8,191 threads in each process. A waiting writer keeps
 * new readers out, but not while the reader is inside that came first of those: so it
 * waits for that one, and then for who is inside when it leaves. Then readers and writers
 * that wait get in alike. All wait on `word`, a writer then on words of `readers`.
 * Who comes alone is named in it, reader or writer. Those who read beside another are
 * counted by process beside it: a number of readers could not say which of them died, and
 * a writer would wait for the dead. Who died while it read harms nobody, and is not
 * reported. A thread that ends without letting go may read on until its process ends. */
struct mu_rwlock {
    uint64_t word;
    uint64_t readers[MU_RWLOCK_PROCESSES];
};

/* Returns   0; MU_OWNER_DIED: you hold it, and the last writer died in it, not while it
 *           waited; MU_TIMEOUT; -EDEADLK when this thread holds it for writing
 * Progress  blocking; one atomic operation when nobody else is there
 * Note      after MU_OWNER_DIED a reader should let go and write, to repair: readers
 *           are told until a writer has held it. A reader that writes without letting
 *           go first is told -EDEADLK, or waits for itself until the deadline; so may
 *           one that reads twice, for a writer. */
MU_API MU_NODISCARD int mu_rwlock_read(struct mu_rwlock *l, int64_t deadline);
MU_API MU_NODISCARD int mu_rwlock_write(struct mu_rwlock *l, int64_t deadline);

/* Let go, in the thread that took it. Returns 0; -EPERM when this thread does not hold it
 * and no other of its process reads beside another; when it does not hold it for
 * writing. */
MU_API int mu_rwlock_read_unlock(struct mu_rwlock *l);
MU_API int mu_rwlock_write_unlock(struct mu_rwlock *l);

/* A number that is waited for while it is 0. Bit 31: somebody sleeps. */
struct mu_semaphore {
    uint32_t word;
};
#define MU_SEMAPHORE_MAX UINT32_C(0x7fffffff)

MU_API void mu_semaphore_init(struct mu_semaphore *s, uint32_t value);
/* Take one. Returns 0; MU_TIMEOUT. */
MU_API MU_NODISCARD int mu_semaphore_take(struct mu_semaphore *s,
                                          int64_t deadline);
/* Give n. Returns 0; -EOVERFLOW above MU_SEMAPHORE_MAX: nothing was given. */
MU_API int mu_semaphore_give(struct mu_semaphore *s, uint32_t n);
MU_API uint32_t mu_semaphore_value(const struct mu_semaphore *s);

/* Wait for a change of what a mutex protects. Bit 0: somebody sleeps; above it
 * the number of signals. */
struct mu_condition {
    uint32_t word;
};

/* Let go of m, wait for a signal, and take m again before it returns, however long that
 * lasts: the deadline is for the signal. It may also return 0 for no reason: look at
 * what you waited for in a loop.
 * Returns   0; MU_TIMEOUT; MU_OWNER_DIED as mu_mutex_lock(): m is held after all
 *           of these; -EPERM when m was not held: nothing was done */
MU_API MU_NODISCARD int mu_condition_wait(struct mu_condition *c,
                                          struct mu_mutex *m, int64_t deadline);
/* The same with a deadline for taking m again, too.
 * Returns   as mu_condition_wait(); -ETIMEDOUT when m could not be taken by
 *           `lock_deadline`: it is not held */
MU_API MU_NODISCARD int mu_condition_wait_within(struct mu_condition *c,
                                                 struct mu_mutex *m,
                                                 int64_t deadline,
                                                 int64_t lock_deadline);
/* Wake at least one, or all. Call it with the mutex held, or after. */
MU_API void mu_condition_signal(struct mu_condition *c);
MU_API void mu_condition_broadcast(struct mu_condition *c);

/* A point that `n` threads leave together. From below: n, how many arrived, and the
 * generation. */
struct mu_barrier {
    uint32_t word;
};
#define MU_BARRIER_MAX UINT32_C(4095)

/* Returns   0; -EINVAL when n is 0 or above MU_BARRIER_MAX */
MU_API int mu_barrier_init(struct mu_barrier *b, uint32_t n);
/* Arrive and wait for the others.
 * ret_is_last  optional: 1 for exactly one of the n, 0 for the rest
 * Returns   0; MU_TIMEOUT: this arrival was taken back; -EINVAL: there was no
 *           mu_barrier_init(), n is 0 */
MU_API MU_NODISCARD int mu_barrier_wait(struct mu_barrier *b, int64_t deadline,
                                        int *ret_is_last);

/* A function that has to run once. The word: 0 is not yet, else who runs it, or that
 * it is done. */
struct mu_once {
    uint64_t word;
};
/* Returns 0, or an error below 0 that leaves the once undone. */
typedef int (*mu_once_fn)(void *arg);
/* Run fn unless it has been run; when it returns 0, fn has returned 0.
 * Returns   0; MU_OWNER_DIED: this call ran fn to its end, after an earlier run
 *           died in the middle; MU_TIMEOUT; -EDEADLK from inside fn; what fn
 *           returned */
MU_API MU_NODISCARD int mu_once_run(struct mu_once *o, mu_once_fn fn, void *arg,
                                    int64_t deadline);

/* A number that is counted down to 0 once. Bit 31: somebody sleeps. */
struct mu_latch {
    uint32_t word;
};
MU_API void mu_latch_init(struct mu_latch *l, uint32_t n);
/* Returns   0; -EOVERFLOW when fewer than n are left: nothing was counted */
MU_API int mu_latch_count_down(struct mu_latch *l, uint32_t n);
/* Returns   0 when the number is 0; MU_TIMEOUT */
MU_API MU_NODISCARD int mu_latch_wait(struct mu_latch *l, int64_t deadline);

/* A number that grows and can be waited for. Bit 0: somebody sleeps. */
struct mu_counter {
    uint64_t word;
};
#define MU_COUNTER_MAX (UINT64_MAX >> 1)
/* Returns   the number before; it wraps at MU_COUNTER_MAX */
MU_API uint64_t mu_counter_add(struct mu_counter *c, uint64_t n);
MU_API uint64_t mu_counter_value(const struct mu_counter *c);
/* Wait until the number is at least `value`. Returns 0; MU_TIMEOUT. */
MU_API MU_NODISCARD int mu_counter_wait(struct mu_counter *c, uint64_t value,
                                        int64_t deadline);

MU_END_DECLS

#endif
