/* owner.h: the name of a thread that other processes can check for life.
 *
 * A lock between processes has to say who holds it, so that those who wait can
 * see that the holder is dead. A thread id alone does not do: it is used again.
 * An owner is a thread id together with the time its thread was started, in the
 * clock ticks that the kernel shows for every thread, and its PID namespace, by the number
 * of that in /proc/self/ns.
 *
 *     bits  0..21  thread id (PID_MAX_LIMIT is 2^22)
 *     bits 22..28  low bits of the number of the PID namespace
 *     bits 29..31  free for the lock
 *     bits 32..45  the next bits of that number: 21 in all; all 0: not known
 *     bits 46..63  low bits of the start of the thread: a thread id that is used again
 *                  came round after 43 minutes, to the tick; 0: not known
 *
 * 0 is nobody, and so is each value without a thread id. A process has a shorter name,
 * which leaves room for a number:
 *
 *     bits  0..28  process id and namespace, as above
 *     bits 29..41  free for the lock: a number
 *     bits 42..51  the next bits of the number of the namespace: 17 in all
 *     bits 52..63  low bits of the start of the process, as above: 40 seconds
 *
 * In doubt nobody is dead. A start that is equal by chance is a doubt: a dead holder is
 * not seen while another thread has its id. Namespaces that are equal in these bits are
 * none to us, and the living would look dead: so they have the larger part. The kernel
 * gives out the lowest number that is free, to namespaces and to what else is in /proc,
 * about 75 for one that has a network of its own: they are one in their low 21 bits only
 * where 2 million are in use, in 17 where 131,072 are.
 *
 * Start times are compared by the clock of the first time namespace, and not at all where
 * a process cannot know what its own adds to it. Where /proc shows another PID namespace
 * than that of the process, only the absence of a thread counts.
 *
 * Fork: the child's thread is another owner, also after a raw clone(); it is noticed by a
 * page that the kernel wipes on fork. */
#ifndef MUI_SYS_OWNER_H
#define MUI_SYS_OWNER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MUI_OWNER_MASK   UINT64_C(0xffffffff1fffffff)

#define MUI_PROCESS_MASK UINT64_C(0xfffffc001fffffff)
#define MUI_PROCESS_ONE  (UINT64_C(1) << 29) /* of its number */
#define MUI_PROCESS_MAX  UINT64_C(8191)      /* the largest number */

struct mui_owner_cache {
    uint64_t owner;
    uint32_t mark; /* the fork mark it was made under; even: never made */
};

extern _Thread_local struct mui_owner_cache mui_owner_cache
    __attribute__((tls_model("initial-exec")));

/* A page of which only the first word is used, for the kernel wipes whole pages. */
#define MUI_FORK_PAGE 4096
extern union mui_fork_page {
    _Atomic uint32_t mark;
    char bytes[MUI_FORK_PAGE];
} mui_fork_page;

/* Fill the cache of this thread. Never fails: without /proc only the number is
 * known. */
uint64_t mui_owner_make(void);

/* Whether this thread has its name in mui_owner_cache. */
static inline bool mui_owner_is_cached(void)
{
    /* relaxed: only a fork changes it, and the child starts with one thread */
    return __builtin_expect(
        mui_owner_cache.mark ==
            atomic_load_explicit(&mui_fork_page.mark, memory_order_relaxed),
        1);
}

/* This thread. Any thread; not in a signal handler the first time. */
static inline uint64_t mui_owner_self(void)
{
    return mui_owner_is_cached() ? mui_owner_cache.owner : mui_owner_make();
}

/* Whether that thread has ended: 1, or 0 when it lives or nothing is known (it
 * belongs to another PID namespace; or /proc was missing when it was named, or is for
 * us). Costs about ten system calls. */
int mui_owner_is_dead(uint64_t owner);

/* The name of this process, and the mark it was made under, which is stored last. */
struct mui_process_cache {
    _Atomic uint64_t name;
    _Atomic uint32_t mark;
};
extern struct mui_process_cache mui_process_cache;

uint64_t mui_process_make(void);

/* This process, with number 0. As mui_owner_self(). */
static inline uint64_t mui_process_self(void)
{
    /* relaxed: only a fork changes it, and the child starts with one thread */
    uint32_t mark =
        atomic_load_explicit(&mui_fork_page.mark, memory_order_relaxed);

    /* acquire, pairs with mui_process_make(), whose mark is never that of no call */
    if (__builtin_expect(atomic_load_explicit(&mui_process_cache.mark,
                                              memory_order_acquire) == mark,
                         1))
        return atomic_load_explicit(&mui_process_cache.name,
                                    memory_order_relaxed);
    return mui_process_make();
}

/* The same as mui_owner_is_dead() of a process: dead is one whose threads have all
 * ended. */
int mui_process_is_dead(uint64_t process);

#endif
