/* signal.c: signals in words, as the `kill -l` of a shell has them. */
#include "base/signal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

const char *mui_signal_name(int signal, char text[MUI_SIGNAL_NAME])
{
    const char *abbreviation = sigabbrev_np(signal);
    const int above = signal - SIGRTMIN;
    const int below = SIGRTMAX - signal;

    if (abbreviation)
        (void)snprintf(text, MUI_SIGNAL_NAME, "SIG%.16s", abbreviation);
    else if (above < 0 || below < 0)
        (void)snprintf(text, MUI_SIGNAL_NAME, "SIG%d", signal);
    else if (above == 0 || below == 0)
        (void)snprintf(text, MUI_SIGNAL_NAME, "SIGRTM%s", above ? "AX" : "IN");
    else if (above <= below + 1) /* from the nearer end */
        (void)snprintf(text, MUI_SIGNAL_NAME, "SIGRTMIN+%d", above);
    else
        (void)snprintf(text, MUI_SIGNAL_NAME, "SIGRTMAX-%d", below);
    return text;
}
