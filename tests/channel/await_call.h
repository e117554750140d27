/* await_call.h: a child does something while its parent waits. */
#ifndef TEST_CHANNEL_AWAIT_CALL_H
#define TEST_CHANNEL_AWAIT_CALL_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Wait until our parent sleeps in one of those calls, as far as the system tells. */
static inline void parent_await_call(long number, long other)
{
    char path[64];
    char text[64];

    (void)snprintf(path, sizeof path, "/proc/%d/syscall", (int)getppid());
    for (;;) {
        FILE *f = fopen(path, "re");

        if (!f || !fgets(text, sizeof text, f) ||
            (text[0] != 'r' && (atol(text) == number || atol(text) == other))) {
            if (f)
                (void)fclose(f);
            return;
        }
        (void)fclose(f);
    }
}

#endif
