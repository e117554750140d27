/* file_limit.h: how large a file this process may make. */
#ifndef MUI_SYS_FILE_LIMIT_H
#define MUI_SYS_FILE_LIMIT_H

#include <stdint.h>

/* The limit on file size (RLIMIT_FSIZE), which is one on memory with a descriptor, too:
 * above it write() and ftruncate() would also raise SIGXFSZ in our host. */
uint64_t mui_file_bytes_max(void);

#endif
