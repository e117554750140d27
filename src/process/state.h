/* state.h: what a task can change of its process for the tasks after it, as far as
 * it can be compared: working directory, umask, environment, locale, signal
 * handlers, limits. */
#ifndef MUI_PROCESS_STATE_H
#define MUI_PROCESS_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct mui_state {
    uint64_t device; /* of the working directory */
    uint64_t inode;
    uint64_t environment;
    uint64_t locale;
    uint64_t handlers;
    uint64_t
        system_handlers; /* of SIGINT and SIGQUIT, ignored during system() */
    uint64_t limits;
    unsigned mask; /* umask */
};

/* Some 80 system calls: 10 us, and as much again when the process has more threads
 * than the one that is here (`alone`). One thread at a time. */
void mui_state_take(bool alone, struct mui_state *ret_state);

/* With `beside`, other tasks ran when one was taken: what their system() changes for
 * as long as it runs does not count. */
bool mui_state_equals(const struct mui_state *a, const struct mui_state *b,
                      bool beside);

#endif
