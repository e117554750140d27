/* deeds.h: tasks that do harm, for the tests of isolation, and a task that does
 * none. */
#ifndef TESTS_CHAOS_DEEDS_H
#define TESTS_CHAOS_DEEDS_H

#include "muster/muster.h"

struct deed {
    const char *name;
    mu_task_fn fn;
    unsigned
        allowed; /* statuses that name the deed: bits 1 << enum mu_status */
    int signal;  /* that its outcome names; 0: any */
    int code;    /* exited: the status */
    const char *says;  /* words of its outcome's description; NULL: any */
    mu_task_fn around; /* the innocents; NULL: deed_innocent */
    int strict;        /* options of its pool */
    unsigned window;
};

extern const struct deed deeds[];
extern const unsigned n_deeds;

/* The one of that name, which there has to be. */
const struct deed *deed_named(const char *name);

/* Gives its input back, by way of the heap. */
int deed_innocent(struct mu_task *task);

#endif
