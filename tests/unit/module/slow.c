/* slow.c: a library whose load the program can hold up, before the addresses in it are
 * all set. */
#include "muster/base.h"

void on_resolve(void);

typedef int number_fn(void);

static int one(void)
{
    return 1;
}

/* The linker asks which function it is after all else is set, but before it can be called:
 * https://sourceware.org/glibc/wiki/GNU_IFUNC */
__attribute__((used)) static number_fn *resolve(void)
{
    on_resolve();
    return one;
}

__attribute__((ifunc("resolve"))) static int number(void);

MU_API int of_library(void);

int of_library(void)
{
    return number();
}
