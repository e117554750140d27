/* futex.h: sleep until a word changes. See futex(2).
 *
 * `shared` is 0 for a word that only this process uses, and not 0 for a word in
 * memory that several processes map; waiter and waker have to agree. A waiter
 * may map the word read-only. */
#ifndef MUI_SYS_FUTEX_H
#define MUI_SYS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleep while *word == expected. 0 when woken, or for no reason; MU_TIMEOUT when
 * the absolute CLOCK_MONOTONIC `deadline_ns` passed; -EAGAIN when the word
 * differed; -EINTR after a signal. Wait-free but for the sleep. */
int mui_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int shared,
                   int64_t deadline_ns);

/* Words of this process, but waited for as shared: what the kernel wakes by itself. */
struct mui_futex_pair {
    const _Atomic uint32_t *word;
    uint32_t expected;
};

enum { MUI_FUTEX_PAIRS_MAX = 128 }; /* the kernel's */

/* Sleep while all of 1 to MUI_FUTEX_PAIRS_MAX words are as expected; where the kernel
 * cannot, before 5.16, while the first is. May return for no reason. */
void mui_futex_wait_any(const struct mui_futex_pair *pairs, unsigned n);

/* Wake up to n_max sleepers. Signal-safe. Returns how many were woken. */
int mui_futex_wake(const _Atomic uint32_t *word, int n_max, int shared);

#endif
