/* library.h: libraries that few programs need, loaded when one first does.
 *
 * What is linked is mapped from the start on, in the nursery and in each worker, used
 * or not: every fork copies it. */
#ifndef MUI_SYS_LIBRARY_H
#define MUI_SYS_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { MUI_LIBRARY_FUNCTIONS = 32 /* of one, at most */ };

struct mui_library {
    const char *name; /* as the dynamic linker looks for it */
    size_t n;
    const char *const *names; /* [n] functions that are used of it */
    void **functions;         /* [n] written once, before `loaded` */
    _Atomic bool loaded;      /* for good */
};

/* 0, and then every function is there; -ELIBACC: the library is not installed, or is
 * not the one that this was compiled for. Any thread. */
int mui_library_load(struct mui_library *library);

/* A table `table` of functions, called as table.function(), and a library `library`
 * that fills it. FUNCTIONS(F) is F(name) for each name. */
#define MUI_LIBRARY(library, table, soname, FUNCTIONS)                         \
    static struct {                                                            \
        FUNCTIONS(MUI_LIBRARY_POINTER)                                         \
    } table;                                                                   \
    static const char *const table##_names[] = {FUNCTIONS(MUI_LIBRARY_NAME)};  \
    static struct mui_library library = {.name = soname,                       \
                                         .n = sizeof table##_names /           \
                                              sizeof *table##_names,           \
                                         .names = table##_names,               \
                                         .functions = (void **)&table};        \
    _Static_assert(sizeof table == sizeof table##_names, "a pointer each");    \
    _Static_assert(sizeof table <= MUI_LIBRARY_FUNCTIONS * sizeof(void *),     \
                   "they find room as they are looked for")
#define MUI_LIBRARY_POINTER(function) __typeof__(function) *function;
#define MUI_LIBRARY_NAME(function)    #function,

#endif
