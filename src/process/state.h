/* state.h: what a task can change of its process for the tasks after it, as far as
 * it can be compared: working directory, umask, environment, locale, signal handlers
 * and mask, limits, standard streams, user, timers, priority and CPUs, rounding. */
#ifndef MUI_PROCESS_STATE_H
#define MUI_PROCESS_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* The threads of the process beside the one that looks. */
enum mui_state_threads {
    MUI_STATE_ONE,  /* there is none */
    MUI_STATE_OURS, /* no tasks run on them */
    MUI_STATE_MANY  /* tasks do */
};

struct mui_state {
    /* What a task can change without a system call. */
    struct mui_state_memory {
        uint64_t environment;
        uint64_t locale;
        uint64_t thread_locale; /* which uselocale() set for it that looks */
        uint64_t arithmetic; /* rounding and traps of the thread that looks */
    } memory;
    uint64_t device; /* of the working directory */
    uint64_t inode;
    uint64_t handlers;
    uint64_t limits;
    uint64_t schedule; /* policy and nice value of the thread that looks */
    /* its signal mask, CPUs and stack of handlers; 0 when tasks have others */
    uint64_t alone;
    unsigned mask; /* umask */
    /* What a task may change for as long as it runs. */
    struct mui_state_passing {
        uint64_t handlers; /* of SIGINT and SIGQUIT, ignored during system() */
        uint64_t holds_sigsys; /* whether a handler does, as long as it runs */
        uint64_t streams;      /* descriptors 0 to 2 */
        uint64_t user;   /* and group; for files of the thread that looks */
        uint64_t timers; /* that are set */
    } passing;
};

/* Before any sandbox and any task: what a look reads is opened now. */
void mui_state_init(void);

/* Some 100 system calls: 20 us, and 10 more when the process has more threads
 * than the one that is here. One thread at a time. */
void mui_state_take(enum mui_state_threads threads,
                    struct mui_state *ret_state);

/* Only what MU_SANDBOX_PURE lets a task change, and us ask. */
void mui_state_take_pure(enum mui_state_threads threads,
                         struct mui_state *ret_state);

/* Only what it takes no system call to ask: a microsecond or so. */
void mui_state_take_memory(struct mui_state_memory *ret_memory);
bool mui_state_memory_equals(const struct mui_state_memory *a,
                             const struct mui_state_memory *b);

/* Take anew what is the calling thread's, if it was alone when the rest was taken. */
void mui_state_take_thread(struct mui_state *state);

/* With `beside`, other tasks ran when one was taken: what passes does not count. */
bool mui_state_equals(const struct mui_state *a, const struct mui_state *b,
                      bool beside);

/* Who this process is: its users and groups, as a number to compare. */
uint64_t mui_state_user(void);

#endif
