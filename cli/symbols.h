/* symbols.h: the functions that a loaded module exports. */
#ifndef CLI_SYMBOLS_H
#define CLI_SYMBOLS_H

/* Call `visit` with the name of each function that the module itself defines and
 * exports. `module` comes from dlopen(). Returns 0, or -1 when its table of
 * symbols cannot be found. */
int symbols_each(void *module, void (*visit)(void *ctx, const char *name),
                 void *ctx);

/* Whether `address` is a function of a module, and not data. */
int symbols_is_function(void *address);

#endif
