/* mirror.h: memory that is mapped twice in a row, so that what runs over its end
 * comes in again at its start: [0, bytes) and the same at [bytes, 2 * bytes). */
#ifndef MUI_SYS_MIRROR_H
#define MUI_SYS_MIRROR_H

#include <stdint.h>

/* Map [offset, offset + bytes) of fd twice; both are multiples of the page.
 * 0 or -errno. */
int mui_mirror_map(int fd, uint64_t offset, uint64_t bytes, void **ret_base);
void mui_mirror_unmap(void *base, uint64_t bytes);

#endif
