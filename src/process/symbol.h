/* symbol.h: names and lines for the frames of a crash. */
#ifndef MUI_PROCESS_SYMBOL_H
#define MUI_PROCESS_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

/* Describe a code address (see sys/module.h), which is a return address for every
 * frame but the innermost: "parse (parse.c:41)", or "libx.so+0x1234" where there
 * are no symbols. Reads the module's file: milliseconds. Thread-safe. Returns as
 * snprintf; 0 or less when nothing is known. */
int mui_symbol_describe(uint64_t code, char *text, size_t size);

#endif
