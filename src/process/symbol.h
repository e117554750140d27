/* symbol.h: names and lines for the frames of a crash. */
#ifndef MUI_PROCESS_SYMBOL_H
#define MUI_PROCESS_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

/* Describe a code address (see sys/module.h): "parse (parse.c:41)", "parse
 * (libx.so)" without debug information, or "libx.so+0x1234" without symbols; names of
 * C++ as they were written, where libstdc++ is installed. Of a caller it is the address
 * of the call. Reads the module's file at its first use: milliseconds. Thread-safe.
 * Returns as snprintf; 0 when nothing is known. */
int mui_symbol_describe(uint64_t code, char *text, size_t size);

#endif
