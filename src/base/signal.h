/* signal.h: signals in words. */
#ifndef MUI_BASE_SIGNAL_H
#define MUI_BASE_SIGNAL_H

enum { MUI_SIGNAL_NAME = 24 };

/* "SIGSEGV", "SIGRTMIN+3", "SIGRTMAX-14"; "SIG99" what is none. Returns `text`. */
const char *mui_signal_name(int signal, char text[MUI_SIGNAL_NAME]);

#endif
