/* compile.h: a C or C++ file made into a shared object by the system's compiler, once:
 * the object is kept in $XDG_CACHE_HOME/muster (else ~/.cache/muster), and found
 * by the file's content, the compiler, its flags, the environment it minds and
 * muster's version, as long as the headers it included hold what they held. */
#ifndef CLI_COMPILE_H
#define CLI_COMPILE_H

/* Whether the name is that of a file that can be compiled. */
int compile_can(const char *path);

/* Compile `path`, for which compile_can() holds, unless that was done before.
 * Gives the path of the shared object, for free(); NULL after saying why, or after
 * the compiler did. */
char *compile(const char *path);

#endif
