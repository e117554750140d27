/* symbol.c: names for the frames of a crash. */
#include "process/symbol.h"

#include <stdio.h>

#include "sys/module.h"

int mui_symbol_describe(uint64_t code, char *text, size_t size)
{
    return snprintf(text, size, "%s+0x%llx",
                    mui_module_path((unsigned)(code >> 48)),
                    (unsigned long long)(code & 0xffffffffffff));
}
