/* crc32c.h: the checksum of Castagnoli, by the processor where it can. */
#ifndef MUI_SYS_CRC32C_H
#define MUI_SYS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Go on from `crc`, 0 to begin with. */
uint32_t mui_crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
